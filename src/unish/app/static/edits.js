// What a user may say of a result, in words; the kinds are those of `unish refine`.

import { metres } from "./dom.js";

export const POINTS = { left_heel: "left heel", left_toe: "left toe", right_heel: "right heel", right_toe: "right toe" };

export const drop = (person) => ({ kind: "drop", person });

const seconds = (time) => `${time.toFixed(2)} s`;

const WORDS = {
  person_height: (edit) => `Person ${edit.person} is ${metres(edit.metres)} tall`,
  merge: (edit) => `People ${edit.persons.join(", ")} are one person`,
  drop: (edit) => `Person ${edit.person} is left out`,
  split: (edit) => `Person ${edit.person} is somebody else from ${seconds(edit.at_s)} on`,
  contact: (edit) =>
    `The ${POINTS[edit.point]} of person ${edit.person} ${edit.touches ? "touches" : "does not touch"} the ground from ${seconds(edit.from_s)} to ${seconds(edit.to_s)}`,
  floor: (edit) => `The floor of shot ${edit.shot + 1} is ${edit.points ? `at ${edit.points.length} places that you chose` : "a plane that you gave"}`,
  closed_loop: (edit) => `The camera of shot ${edit.shot + 1} ends where it began`,
  known_distance: (edit) => `Two places at ${seconds(edit.at_s)} are ${metres(edit.metres)} apart`,
};

export const describeEdit = (edit) => WORDS[edit.kind](edit);
