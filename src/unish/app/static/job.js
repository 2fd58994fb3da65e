// One job: its stages while it works, its sentence when it failed, its result when it is done.

import * as api from "./api.js";
import { complain, duration, make } from "./dom.js";
import { describeState, makeDelete, showStages } from "./parts.js";
import { ResultView } from "./result.js";

export class JobPanel {
  constructor(place) {
    this.place = place;
    this.key = "";
    this.result = null;
    this.update = () => {};
  }

  /** Show a job as it is now; what has not changed keeps its elements, and with them the focus. */
  show(job, about) {
    if (job === null || about === null) {
      if (this.key) this.place.replaceChildren();
      this.key = "";
      return;
    }
    const key = `${job.id} ${job.state}`;
    if (key !== this.key) {
      this.key = key;
      this.update = this.build(job, about);
    }
    this.update(job);
  }

  build(job, about) {
    const facts = [
      job.width ? `${job.width} × ${job.height}` : "",
      job.seconds ? duration(job.seconds) : "",
      describeOptions(job.options),
    ].filter(Boolean);
    const title = make("div", { className: "title" }, make("h1", {}, job.name), make("p", { className: "faint" }, facts.join(" · ")));
    if (job.state === "done") {
      this.result = new ResultView(job, about);
      this.place.replaceChildren(title, this.result.element);
      return (now) => this.result.update(now);
    }
    if (job.state === "waiting" || job.state === "running") return this.buildOpen(job, title);
    const sentence = job.error || (job.state === "cancelled" ? "This was cancelled; its files are gone." : "");
    this.place.replaceChildren(
      title,
      make("p", { className: job.state === "failed" ? "trouble" : "" }, sentence),
      make("div", { className: "row" }, make("a", { className: "button", href: "#/" }, "Try another video"), makeDelete(job)),
    );
    return () => {};
  }

  buildOpen(job, title) {
    const list = make("ol", { className: "stages", "aria-label": "stages" });
    const wait = make("p", {});
    const cancel = make("button", { type: "button", className: "danger" }, "Cancel");
    cancel.addEventListener("click", () => {
      cancel.disabled = true;
      api.cancel(job.id).catch((error) => complain(error.message));
    });
    const poster = job.has_poster ? make("img", { src: `/jobs/${job.id}/poster.jpg`, alt: "first picture of the video", className: "poster" }) : null;
    this.place.replaceChildren(
      title,
      make("div", { className: "card working" }, poster, make("div", {}, wait, list, cancel)),
      make("p", { className: "faint" }, "You may close this page: the work goes on, and the result is here when you come back."),
    );
    return (now) => {
      wait.textContent = now.state === "waiting" ? `This video ${describeState(now)}.` : "";
      wait.hidden = now.state !== "waiting";
      showStages(list, now.stages);
    };
  }
}

function describeOptions(options) {
  return Object.entries(options)
    .map(([name, value]) => (value === true ? name.replaceAll("_", " ") : `${name.replaceAll("_", " ")} ${value}`))
    .join(", ");
}
