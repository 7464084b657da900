// Writes src/map/land.ts: the outlines of the continents, from Natural Earth's 1:110 million land (public domain).
//
// A ring is an array of whole numbers: the first point, then steps from each point to the next, longitude before
// latitude, in quarters of a degree. Rings that are smaller than a few degrees are left out.

import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { feature } from "topojson-client";

const PER_DEGREE = 4;
const SMALLEST_DEGREES2 = 2;
const OUT = join(import.meta.dirname, "../src/map/land.ts");

const topology = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("world-atlas/land-110m.json"), "utf8"));
const { features } = feature(topology, topology.objects.land);
const polygons = features.flatMap(({ geometry }) =>
  geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates,
);

function areaOf(ring) {
  let doubled = 0;
  for (let i = 1; i < ring.length; i++) doubled += ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
  return Math.abs(doubled / 2);
}

/** Returns a ring that crosses the date line twice, once at each end of the map, without a line across the map. */
function atBothEnds(ring) {
  let turns = 0;
  const unrolled = ring.map(([longitude, latitude], at) => {
    const step = at === 0 ? 0 : longitude - ring[at - 1][0];
    if (Math.abs(step) > 180) turns -= Math.sign(step);
    return [longitude + 360 * turns, latitude];
  });
  if (unrolled.every(([longitude]) => Math.abs(longitude) <= 180)) return [unrolled];
  const side = unrolled.some(([longitude]) => longitude > 180) ? -360 : 360;
  return [unrolled, unrolled.map(([longitude, latitude]) => [longitude + side, latitude])];
}

function stepsOf(ring) {
  const steps = [];
  let last = [0, 0];
  for (const point of ring.slice(0, -1)) {
    const next = point.map((degrees) => Math.round(degrees * PER_DEGREE));
    if (steps.length > 0 && next[0] === last[0] && next[1] === last[1]) continue;
    steps.push(next[0] - last[0], next[1] - last[1]);
    last = next;
  }
  return steps;
}

const rings = polygons
  .flat()
  .flatMap(atBothEnds)
  .filter((ring) => areaOf(ring) >= SMALLEST_DEGREES2)
  .map(stepsOf);
writeFileSync(
  OUT,
  `// Written by scripts/land.js from Natural Earth's land at 1:110 million, which is in the public domain.\n\n` +
    `export const PER_DEGREE = ${PER_DEGREE};\nexport const RINGS: readonly (readonly number[])[] = ${JSON.stringify(rings)};\n`,
);
