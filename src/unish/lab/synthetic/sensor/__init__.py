"""From a clean render to what a camera records."""

from unish.lab.synthetic.sensor.codec import compress_images, encode_video
from unish.lab.synthetic.sensor.filters import blur_images
from unish.lab.synthetic.sensor.record import record_images

__all__ = ["blur_images", "compress_images", "encode_video", "record_images"]
