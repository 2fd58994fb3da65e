// Places that a click points at and the distance of two of them; the twin of measuring.py, which says why it is so.
const unishMeasuring = (() => {
  "use strict";
  const CONES_RAD = [0.006, 0.012, 0.024], ENOUGH = 6, SAME_SURFACE = 0.06, NEAREST_M = 0.05, SIGMAS_90 = 1.645;

  // points: x, y, z of one after the other. The place as {xyz, sigma}, or null where the ray meets nothing.
  function findPlace(origin, direction, points) {
    const length = Math.hypot(...direction), ray = direction.map((value) => value / length);
    const near = [];
    for (let i = 0; i < points.length; i += 3) {
      const x = points[i] - origin[0], y = points[i + 1] - origin[1], z = points[i + 2] - origin[2];
      const along = x * ray[0] + y * ray[1] + z * ray[2];
      if (along <= NEAREST_M) continue;
      const aside = [x - along * ray[0], y - along * ray[1], z - along * ray[2]];
      const angle = Math.hypot(...aside) / along;
      if (angle < CONES_RAD.at(-1)) near.push({ along, aside, angle });
    }
    for (const cone of CONES_RAD) {
      const chosen = near.filter((point) => point.angle < cone);
      if (chosen.length < ENOUGH && cone !== CONES_RAD.at(-1)) continue;
      if (chosen.length === 0) return null;
      const sorted = chosen.map((point) => point.along).sort((a, b) => a - b);
      const front = sorted[Math.min(1, sorted.length - 1)];
      const surface = chosen.filter((point) => Math.abs(point.along - front) < SAME_SURFACE * front);
      return meet(origin, ray, surface, surface.map((point) => Math.exp(-((2 * point.angle / cone) ** 2))));
    }
    return null;
  }

  function meet(origin, ray, surface, weights) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const mean = (values) => values.reduce((sum, value, i) => sum + weights[i] * value, 0) / total;
    let at = mean(surface.map((point) => point.along));
    let left = surface.map((point) => point.along - at);
    if (surface.length >= ENOUGH) {
      const [across, down] = axesBeside(ray);
      const rows = surface.map((point) => [1, dot(point.aside, across), dot(point.aside, down)]);
      const solution = leastSquares(rows, left, weights);
      left = left.map((value, i) => value - dot(rows[i], solution));
      at += solution[0];
    }
    const sigma = Math.sqrt(mean(left.map((value) => value * value)));
    return { xyz: origin.map((value, axis) => value + at * ray[axis]), sigma };
  }

  function dot(a, b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  }

  function cross(a, b) {
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  }

  function axesBeside(ray) {
    const least = ray.map(Math.abs).indexOf(Math.min(...ray.map(Math.abs)));
    const first = cross(ray, [0, 1, 2].map((axis) => Number(axis === least)));
    const length = Math.hypot(...first), across = first.map((value) => value / length);
    return [across, cross(ray, across)];
  }

  // Normal equations of three unknowns, by elimination; the ridge stands in for a plane that points on a line leave open.
  function leastSquares(rows, values, weights) {
    const matrix = [0, 1, 2].map((i) => [0, 1, 2, 3].map((j) =>
      rows.reduce((sum, row, k) => sum + weights[k] * row[i] * (j < 3 ? row[j] : values[k]), 0)));
    const ridge = 1e-12 * (matrix[0][0] + matrix[1][1] + matrix[2][2]);
    for (let i = 0; i < 3; i++) matrix[i][i] += ridge;
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++)
        if (k !== i) {
          const factor = matrix[k][i] / matrix[i][i];
          for (let j = i; j < 4; j++) matrix[k][j] -= factor * matrix[i][j];
        }
    return matrix.map((row, i) => row[3] / row[i]);
  }

  // interval: factors on all lengths that hold the true size with 90 %, or null when they are not known.
  function describeDistance(first, second, interval) {
    const metres = Math.hypot(...first.xyz.map((value, axis) => value - second.xyz[axis]));
    const own = SIGMAS_90 * Math.hypot(first.sigma, second.sigma);
    const [down, up] = interval === null ? [0, 0] : [(1 - interval[0]) * metres, (interval[1] - 1) * metres];
    const low = Math.max(0, metres - Math.hypot(down, own)), high = metres + Math.hypot(up, own);
    const text = `${metres.toFixed(2)} m (90 %: ${low.toFixed(2)} to ${high.toFixed(2)} m`;
    return text + (interval === null ? "; how large the scene is, is unknown)" : ")");
  }

  // Points of nodes, in the world of the drawing: clouds as they are, bodies as they stand.
  function pointsOf(nodes, place) {
    const found = [];
    for (const node of nodes)
      node.traverse((object) => {
        if (!object.isPoints && !object.isSkinnedMesh) return;
        const position = object.geometry.attributes.position;
        for (let i = 0; i < position.count; i++) {
          if (object.isPoints) place.fromBufferAttribute(position, i);
          else object.getVertexPosition(i, place);
          place.applyMatrix4(object.matrixWorld);
          found.push(place.x, place.y, place.z);
        }
      });
    return found;
  }

  // Origin and direction of what lies at a place of the canvas, given in -1..1, up positive.
  function rayOf(camera, x, y) {
    const pose = camera.matrixWorld.elements, lens = camera.projectionMatrix.elements;
    const ahead = [(x + lens[8]) / lens[0], (y + lens[9]) / lens[5], -1];
    const direction = [0, 1, 2].map((axis) => dot([pose[axis], pose[4 + axis], pose[8 + axis]], ahead));
    return { origin: [pose[12], pose[13], pose[14]], direction };
  }

  return { findPlace, describeDistance, pointsOf, rayOf };
})();
