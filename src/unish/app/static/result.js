// The result of a job: 3D view, people, film, report and files, one behind the other.

import * as api from "./api.js";
import { bytes, complain, make } from "./dom.js";
import { MeasureView } from "./measure.js";
import { makeDelete, showStages } from "./parts.js";
import { PeopleView } from "./people.js";

const FILE_WORDS = {
  "scene.glb": "Scene and moving people for any 3D program",
  "preview.mp4": "Film: picture, depth, from above and from the side",
  "report.html": "Report in plain words",
  "report.json": "The same numbers for programs",
  "reconstruction.npz": "Everything, for `unish` and Python; it holds the pictures without blur",
};

export class ResultView {
  constructor(job, about) {
    this.job = job;
    this.about = about;
    this.version = "";
    this.work = make("div", { className: "card", hidden: true });
    this.error = make("p", { className: "trouble", hidden: true });
    this.parts = { view: make("div"), people: make("div"), film: make("div"), report: make("div"), files: make("div") };
    const words = { view: "3D view", people: "People", film: "Film", report: "Report", files: "Files" };
    this.element = make("div", {}, this.work, this.error, ...makeTabs(words, this.parts));
    this.people = new PeopleView(job.id);
    this.measure = new MeasureView();
    this.parts.people.append(this.people.element, this.measure.element);
    this.list = make("ul", { className: "plain" });
    this.buildFiles();
  }

  /** Show the job as it is now; the result is read again when it was changed. */
  update(job) {
    this.job = job;
    this.work.hidden = !job.task;
    if (job.task) this.showWork(job);
    const sentence = job.task_error || job.error;
    this.error.textContent = sentence;
    this.error.hidden = !sentence || Boolean(job.task);
    this.people.setEdits(job.edits, Boolean(job.task));
    this.make.disabled = Boolean(job.task);
    this.showDownloads(job);
    const version = `${JSON.stringify(job.edits)} ${job.has_page} ${job.has_film}`;
    if (!job.task && version !== this.version) {
      this.version = version;
      this.read();
    }
  }

  async read() {
    try {
      const found = await api.readResult(this.job.id);
      this.people.setPeople(found);
      this.measure.setPeople(found);
      this.files = found.files;
      this.showFrames();
      this.showDownloads(this.job);
    } catch (error) {
      complain(error.message);
    }
  }

  showWork(job) {
    if (!this.stages) {
      this.stages = make("ol", { className: "stages", "aria-label": "stages" });
      const cancel = make("button", { type: "button", className: "danger small" }, "Cancel");
      cancel.addEventListener("click", () => api.cancel(job.id).catch((error) => complain(error.message)));
      this.work.replaceChildren(this.stages, cancel);
    }
    showStages(this.stages, job.stages);
  }

  /** The frames are made anew, so that a changed result is not mixed up with the one before. */
  showFrames() {
    const base = `/jobs/${this.job.id}`;
    const mark = `?v=${Date.now()}`;
    this.parts.view.replaceChildren(...(this.job.has_page ? this.makeView(base, mark) : [make("p", {}, "There is no 3D view of this result.")]));
    this.parts.film.replaceChildren(...(this.job.has_film ? this.makeFilm(base, mark) : this.offerFilm()));
    this.parts.report.replaceChildren(
      make("iframe", { className: "paper", title: `report about ${this.job.name}`, sandbox: "", src: `${base}/report${mark}` }),
    );
  }

  makeFilm(base, mark) {
    return [
      make("video", { src: `${base}/preview.mp4${mark}`, controls: true, preload: "metadata", "aria-label": "film of the result" }),
      make("p", { className: "faint" }, "The picture with bodies drawn over it, depth, and the people from above and from the side."),
    ];
  }

  /** Corrections take the film away, for it shows the result before them; to draw it takes a while. */
  offerFilm() {
    const draw = make("button", { type: "button" }, "Draw the film");
    draw.addEventListener("click", async () => {
      complain("");
      draw.disabled = true;
      try {
        await api.drawFilm(this.job.id);
      } catch (error) {
        complain(error.message);
        draw.disabled = false;
      }
    });
    return [make("p", {}, "There is no film of the corrected result yet."), draw];
  }

  makeView(base, mark) {
    const frame = make("iframe", { title: `3D view of ${this.job.name}`, src: `${base}/page${mark}`, allow: "fullscreen" });
    frame.setAttribute("sandbox", "allow-scripts");
    const live = make("button", { type: "button", className: "quiet" }, "Open the live viewer");
    const place = make("span", { role: "status" });
    live.addEventListener("click", async () => {
      live.disabled = true;
      place.textContent = "The live viewer starts …";
      try {
        const { address } = await api.openLive(this.job.id);
        place.replaceChildren(make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "The live viewer is ready: open it"));
      } catch (error) {
        place.textContent = error.message;
      }
      live.disabled = false;
    });
    return [
      frame,
      make(
        "div",
        { className: "row after" },
        make("a", { className: "button quiet", href: `${base}/page?save` }, "Save this page"),
        this.about.is_local ? live : null,
        place,
      ),
      this.about.is_local
        ? make("p", { className: "faint" }, "The live viewer also shows the points of every frame, and measures between two clicks.")
        : null,
    ].filter(Boolean);
  }

  buildFiles() {
    const boxes = Object.entries(this.about.formats).map(([name, summary]) =>
      make("label", {}, make("input", { type: "checkbox", name: "format", value: name }), make("span", {}, make("b", {}, name), summary)),
    );
    this.make = make("button", { type: "button" }, "Make these files");
    const formats = make("fieldset", { className: "formats" }, make("legend", {}, "Other formats"), ...boxes);
    this.make.addEventListener("click", async () => {
      complain("");
      try {
        await api.makeExport(this.job.id, [...formats.querySelectorAll("input:checked")].map((box) => box.value));
      } catch (error) {
        complain(error.message);
      }
    });
    this.parts.files.append(this.list, make("h2", { className: "visually-hidden" }, "More formats"), formats, this.make, make("h2", { className: "end" }, "This job"), makeDelete(this.job));
  }

  showDownloads(job) {
    const base = `/jobs/${job.id}`;
    const key = `${JSON.stringify(this.files)} ${JSON.stringify(job.downloads)}`;
    if (key === this.shownDownloads) return;
    this.shownDownloads = key;
    const own = Object.entries(this.files || {}).map(([name, size]) => makeFile(`${base}/files/${name}`, name, `${FILE_WORDS[name]} · ${bytes(size)}`));
    const made = Object.entries(job.downloads).map(([formats, file]) =>
      makeFile(`${base}/exports/${file}`, formats.replaceAll("+", ", "), file.endsWith(".zip") ? "several files in a zip" : "one file"),
    );
    this.list.replaceChildren(...own, ...made);
  }
}

function makeFile(address, name, words) {
  return make(
    "li",
    {},
    make("span", {}, make("b", {}, name), " ", make("span", { className: "faint" }, words)),
    make("a", { href: address, download: "", className: "button quiet small", "aria-label": `Download ${name}` }, "Download"),
  );
}

/** Tabs after the pattern of WAI-ARIA: arrow keys go from one to the next. */
function makeTabs(words, parts) {
  const names = Object.keys(words);
  const list = make("div", { className: "tabs", role: "tablist", "aria-label": "parts of the result" });
  const tabs = names.map((name) => make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `part-${name}` }, words[name]));
  function choose(index, focus) {
    names.forEach((name, other) => {
      tabs[other].setAttribute("aria-selected", String(other === index));
      tabs[other].tabIndex = other === index ? 0 : -1;
      parts[name].hidden = other !== index;
    });
    if (focus) tabs[index].focus();
  }
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(index, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose((index + step + names.length) % names.length, true);
    });
  });
  names.forEach((name) => {
    Object.assign(parts[name], { id: `part-${name}`, tabIndex: -1 });
    parts[name].setAttribute("role", "tabpanel");
    parts[name].setAttribute("aria-labelledby", `tab-${name}`);
  });
  list.append(...tabs);
  choose(0, false);
  return [list, ...names.map((name) => parts[name])];
}
