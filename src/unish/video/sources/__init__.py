"""Where frames come from: video files, folders of images, single pictures, and the times of each."""
