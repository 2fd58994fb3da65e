// Pictures of the video at their times, on which places are chosen. A place is { x, y, at_s }: pixels of the source, seconds.

import { draw, make } from "./dom.js";

const FORM = /^(-?[\d.]+),(-?[\d.]+)@([\d.]+)$/;

/** Places in words as on the command line, "x,y@seconds" with spaces between them. */
export const writePlaces = (places) => places.map(({ x, y, at_s }) => `${x},${y}@${at_s}`).join(" ");

export function readPlaces(text) {
  return text.split(/\s+/).filter(Boolean).map((word) => {
    const found = FORM.exec(word);
    if (!found) throw new Error(`${word} is no place; give places as x,y@seconds with spaces between them, such as 120,400@2.5.`);
    const [x, y, at_s] = found.slice(1).map(Number);
    return { x, y, at_s };
  });
}

export class Picker {
  /** `chosen` is told every place that is clicked. */
  constructor(jobId, chosen) {
    this.jobId = jobId;
    this.pictures = [];
    this.places = [];
    this.picture = make("img", { alt: "the video at this time" });
    this.marks = draw("svg", { "aria-hidden": "true" });
    this.time = make("input", { type: "range", id: "picture-time", min: "0", step: "1", value: "0" });
    this.clock = make("output", { htmlFor: "picture-time" });
    this.element = make(
      "div",
      { className: "picker" },
      make("div", { className: "places" }, this.picture, this.marks),
      make("div", { className: "row" }, make("label", { htmlFor: "picture-time" }, "Picture at"), this.time, this.clock),
    );
    this.time.addEventListener("input", () => this.show());
    this.picture.addEventListener("click", (event) => {
      const box = this.picture.getBoundingClientRect();
      const [height, width] = this.size;
      const x = Math.min(width - 1, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * width)));
      const y = Math.min(height - 1, Math.max(0, Math.round(((event.clientY - box.top) / box.height) * height)));
      chosen({ x, y, at_s: this.now.time_s });
    });
  }

  get now() {
    return this.pictures[Number(this.time.value)];
  }

  /** The shot of the used frame that is nearest to a time: between two pictures there may be a cut. */
  shotAt(time) {
    const gaps = this.times.map((one) => Math.abs(one - time));
    return this.shots[gaps.indexOf(Math.min(...gaps))];
  }

  setResult(people, mark) {
    this.pictures = people?.pictures || [];
    this.times = people?.times_s || [];
    this.shots = people?.shots || [];
    this.size = people?.source_size;
    this.mark = mark;
    this.time.max = String(Math.max(0, this.pictures.length - 1));
    if (this.pictures.length) this.show();
  }

  setPlaces(places) {
    this.places = places;
    this.show();
  }

  show() {
    if (!this.now) return;
    const [height, width] = this.size;
    this.picture.src = `/jobs/${this.jobId}/frames/${this.time.value}.jpg?v=${this.mark}`;
    this.clock.textContent = `${this.now.time_s.toFixed(2)} s`;
    this.time.setAttribute("aria-valuetext", this.clock.textContent);
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const radius = Math.max(width, height) / 90;
    const here = this.places.filter((place) => Math.abs(place.at_s - this.now.time_s) < 1e-3);
    this.marks.replaceChildren(...here.map(({ x, y }) => draw("circle", { cx: x, cy: y, r: radius, "stroke-width": radius / 2 })));
  }
}
