import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { PER_DEGREE, RINGS } from "./land";

export interface Position {
  latitude: number;
  longitude: number;
}

const NORTH = 84;
const SOUTH = -58;
const LAND = RINGS.map(pathOf).join("");

/** Returns where a longitude and a latitude are in the map's own units, which are degrees. */
export const x = (longitude: number): number => longitude;
export const y = (latitude: number): number => -latitude;

/** The continents. Children are SVG elements at `x(longitude)`, `y(latitude)`; `onPick` makes the map take clicks.
 *
 * What a map shows is also shown as text beside it, and what can be picked on it can be typed or selected there.
 */
export function WorldMap(props: {
  label: string;
  onPick?: (position: Position) => void;
  children?: ComponentChildren;
}) {
  const { label, onPick, children } = props;
  const svg = useRef<SVGSVGElement>(null);
  return (
    <svg
      ref={svg}
      class={onPick ? "map pick" : "map"}
      viewBox={`-180 ${-NORTH} 360 ${NORTH - SOUTH}`}
      role="img"
      aria-label={label}
      onClick={(event) => {
        const position = svg.current && positionOf(svg.current, event);
        if (position) onPick?.(position);
      }}
    >
      <path class="land" d={LAND} />
      {children}
    </svg>
  );
}

function positionOf(svg: SVGSVGElement, event: MouseEvent): Position | undefined {
  const matrix = svg.getScreenCTM();
  if (!matrix) return undefined;
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  const rounded = { latitude: Math.round(-point.y * 100) / 100, longitude: Math.round(point.x * 100) / 100 };
  return Math.abs(rounded.latitude) <= 90 && Math.abs(rounded.longitude) <= 180 ? rounded : undefined;
}

/** Returns a ring as an SVG path. */
function pathOf(ring: readonly number[]): string {
  const points: string[] = [];
  let longitude = 0;
  let latitude = 0;
  for (let at = 0; at < ring.length; at += 2) {
    longitude += ring[at] ?? 0;
    latitude += ring[at + 1] ?? 0;
    points.push(`${longitude / PER_DEGREE} ${-latitude / PER_DEGREE}`);
  }
  return `M${points.join("L")}Z`;
}
