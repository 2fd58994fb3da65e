// Choosing or recording a video, options, and sending it.

import { upload } from "./api.js";
import { byId, bytes, complain, duration, say } from "./dom.js";

const NUMBERS = ["people", "fps", "start", "end", "max_frames", "focal_35mm", "fov", "fill_gaps"];
const LONGEST_RECORDING_S = 120;

export class UploadForm {
  /** `about()` gives the limits once they are known; `added(job)` is told of a new job. */
  constructor(about, added) {
    this.about = about;
    this.added = added;
    this.file = null;
    this.sending = null;
    const drop = byId("drop");
    byId("file").addEventListener("change", (event) => event.target.files.length && this.choose(event.target.files[0]));
    for (const kind of ["dragenter", "dragover"]) {
      addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length === 0) return;
      if (event.dataTransfer.files.length > 1) complain("Several files were dropped: the first one was taken. Send the others after it.");
      location.hash = "#/";
      this.choose(event.dataTransfer.files[0]);
    });
    for (const button of document.querySelectorAll("[data-set]")) {
      button.addEventListener("click", () => {
        byId(button.dataset.set).value = byId("chosen-view").currentTime.toFixed(2);
      });
    }
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    byId("send-cancel").addEventListener("click", () => this.sending?.stop());
    byId("chosen-view").addEventListener("error", () => this.showPlayable(false));
    byId("chosen-view").addEventListener("loadedmetadata", () => this.showPlayable(true));
    this.recorder = new Recorder((file) => this.choose(file));
  }

  choose(file) {
    complain("");
    const limits = this.about();
    if (limits && file.size > limits.max_bytes) {
      this.forget();
      complain(`${file.name} has ${bytes(file.size)}; at most ${bytes(limits.max_bytes)} are accepted. Cut it, or start the app with a larger --max-gb.`);
      return;
    }
    this.file = file;
    byId("chosen").hidden = false;
    byId("chosen-name").textContent = file.name;
    byId("chosen-size").textContent = bytes(file.size);
    const view = byId("chosen-view");
    if (view.src) URL.revokeObjectURL(view.src);
    view.src = URL.createObjectURL(file);
    byId("send").disabled = false;
    say(`${file.name} is chosen`);
  }

  forget() {
    this.file = null;
    byId("chosen").hidden = true;
    for (const button of document.querySelectorAll("[data-set]")) button.hidden = true;
    byId("send").disabled = true;
    byId("file").value = "";
  }

  showPlayable(is) {
    byId("chosen-view").hidden = !is;
    byId("chosen-unseen").hidden = is;
    for (const button of document.querySelectorAll("[data-set]")) button.hidden = !is;
  }

  /** Options by the names of the command line; null where one is not readable, after saying so. */
  readOptions() {
    const options = {};
    for (const name of NUMBERS) {
      const field = byId(name);
      const text = field.value.trim();
      const isAll = name === "people" && text === "all";
      const value = Number(text);
      const isBad = field.validity.badInput || (text !== "" && !isAll && !Number.isFinite(value));
      field.setAttribute("aria-invalid", String(isBad));
      if (isBad) {
        complain(`${document.querySelector(`label[for=${name}]`).textContent}: give a number, or leave it empty.`);
        field.focus();
        return null;
      }
      if (text !== "" && !isAll) options[name] = value;
    }
    if (byId("blur_faces").checked) options.blur_faces = true;
    return options;
  }

  async send() {
    const options = this.readOptions();
    if (this.file === null || options === null) return;
    complain("");
    this.showSending(true);
    this.sending = upload(this.file, options, (share) => {
      byId("sent").value = share;
    });
    try {
      const job = await this.sending.done;
      this.forget();
      this.added(job);
    } catch (error) {
      complain(error.message);
    }
    this.sending = null;
    this.showSending(false);
  }

  showSending(is) {
    byId("sending").hidden = !is;
    byId("send-cancel").hidden = !is;
    byId("send").disabled = is || this.file === null;
    byId("sent").value = 0;
    if (is) say("The video is being sent.");
  }
}

/** Records a clip with a camera of this computer. */
class Recorder {
  constructor(recorded) {
    this.recorded = recorded;
    this.stream = null;
    this.recorder = null;
    byId("camera-open").hidden = !(navigator.mediaDevices && window.MediaRecorder);
    byId("camera-open").addEventListener("click", () => this.open());
    byId("camera-close").addEventListener("click", () => this.close());
    byId("camera-record").addEventListener("click", () => (this.recorder ? this.recorder.stop() : this.record()));
  }

  async open() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false });
    } catch (error) {
      complain(error.name === "NotAllowedError" ? "The browser may not use the camera; allow it beside the address." : "No camera can be used.");
      return;
    }
    byId("camera-view").srcObject = this.stream;
    byId("camera-view").play();
    byId("camera").hidden = false;
    byId("camera-record").focus();
  }

  record() {
    const kind = ["video/mp4", "video/webm"].find((one) => MediaRecorder.isTypeSupported(one));
    const parts = [];
    const began = performance.now();
    this.recorder = new MediaRecorder(this.stream, { mimeType: kind, videoBitsPerSecond: 8e6 });
    const clock = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      byId("camera-time").textContent = duration(seconds);
      if (seconds > LONGEST_RECORDING_S && this.recorder) this.recorder.stop();
    }, 250);
    this.recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.recorder.addEventListener("stop", () => {
      clearInterval(clock);
      this.recorder = null;
      byId("camera-record").textContent = "Start recording";
      const ending = kind.split("/")[1];
      this.close();
      this.recorded(new File(parts, `recording.${ending}`, { type: kind }));
    });
    this.recorder.start();
    byId("camera-record").textContent = "Stop recording";
    say("Recording");
  }

  close() {
    if (this.recorder) return this.recorder.stop();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    byId("camera").hidden = true;
    byId("camera-time").textContent = "";
  }
}
