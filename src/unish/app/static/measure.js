// The distance between two people over time, with the interval that holds the true one with 90 %.

import { draw, make, metres } from "./dom.js";

const WIDTH = 720, HEIGHT = 220, LEFT = 48, BOTTOM = 28, TOP = 12, RIGHT = 12;

export class MeasureView {
  constructor() {
    this.first = make("select", { id: "measure-first" });
    this.second = make("select", { id: "measure-second" });
    this.answer = make("p", { role: "status" });
    this.chart = make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "chart of the distance" });
    this.values = make("details");
    this.element = make(
      "div",
      { className: "card after" },
      make("h2", {}, "Distance between two people"),
      make("div", { className: "row" }, make("label", { htmlFor: "measure-first" }, "From"), this.first, make("label", { htmlFor: "measure-second" }, "to"), this.second),
      this.answer,
      this.chart,
      this.values,
      make("p", { className: "faint" }, "Measured from pelvis to pelvis. The interval holds how sure the size of the whole scene is."),
    );
    for (const field of [this.first, this.second]) field.addEventListener("change", () => this.show());
  }

  setPeople({ report, people }) {
    this.people = people;
    this.intervals = (report.shots || []).map((shot) => shot.scale_interval);
    const all = people?.people || [];
    this.element.hidden = all.length < 2;
    for (const [index, field] of [this.first, this.second].entries()) {
      const before = field.value;
      field.replaceChildren(...all.map((person) => make("option", { value: String(person.id) }, `person ${person.id}`)));
      field.value = all.some((person) => String(person.id) === before) ? before : String(all[Math.min(index, all.length - 1)]?.id);
    }
    if (all.length >= 2) this.show();
  }

  show() {
    const [one, other] = [this.first.value, this.second.value].map((id) => this.people.people.find((person) => String(person.id) === id));
    const found = [];
    this.people.times_s.forEach((time, index) => {
      const [from, to] = [one.places[index], other.places[index]];
      if (from === null || to === null) return;
      const interval = this.intervals[this.people.shots[index]];
      const value = Math.hypot(...from.map((coordinate, axis) => coordinate - to[axis]));
      found.push({ time, value, factors: interval && interval[0] !== null ? interval : null });
    });
    this.chart.replaceChildren();
    this.values.replaceChildren();
    if (one === other || found.length === 0) {
      this.answer.textContent = one === other ? "Choose two different people." : "These two are never seen at the same time.";
      return;
    }
    const least = found.reduce((best, point) => (point.value < best.value ? point : best));
    this.answer.textContent = `${describe(found[0])} at the beginning, ${describe(found.at(-1))} at the end. Nearest: ${describe(least)} at ${least.time.toFixed(2)} s.`;
    this.chart.append(drawChart(found, `distance in metres over ${(found.at(-1).time - found[0].time).toFixed(1)} seconds`));
    this.values.append(make("summary", {}, "Values"), makeTable(found));
  }
}

function describe({ value, factors }) {
  return factors ? `${metres(value)} (90 %: ${metres(value * factors[0])} to ${metres(value * factors[1])})` : metres(value);
}

function makeTable(found) {
  const step = Math.max(1, Math.ceil(found.length / 50));
  const rows = found.filter((_, index) => index % step === 0);
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Time"), make("th", { scope: "col" }, "Distance"))),
    make("tbody", {}, ...rows.map((point) => make("tr", {}, make("td", {}, `${point.time.toFixed(2)} s`), make("td", {}, describe(point))))),
  );
}

function drawChart(found, label) {
  const highest = Math.max(...found.map(({ value, factors }) => value * (factors ? factors[1] : 1))) * 1.05;
  const [begin, end] = [found[0].time, Math.max(found.at(-1).time, found[0].time + 0.1)];
  const x = (time) => LEFT + ((time - begin) / (end - begin)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / highest) * (HEIGHT - TOP - BOTTOM);
  const line = (value) => found.map((point) => `${x(point.time).toFixed(1)},${y(value(point)).toFixed(1)}`);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((size) => highest / size <= 5) || 200;
  const marks = Array.from({ length: Math.floor(highest / step) + 1 }, (_, index) => index * step);
  const high = line(({ value, factors }) => value * (factors ? factors[1] : 1));
  const low = line(({ value, factors }) => value * (factors ? factors[0] : 1)).reverse();
  return draw(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label },
    ...marks.flatMap((mark) => [
      draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(mark), y2: y(mark), class: "axis" }),
      draw("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, `${mark.toFixed(step < 1 ? 1 : 0)} m`),
    ]),
    draw("text", { x: LEFT, y: HEIGHT - 8 }, `${begin.toFixed(1)} s`),
    draw("text", { x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, `${end.toFixed(1)} s`),
    draw("polygon", { points: [...high, ...low].join(" "), class: "band" }),
    draw("polyline", { points: line(({ value }) => value).join(" "), class: "curve" }),
  );
}
