import { useEffect, useRef, useState } from "preact/hooks";
import { t, type TextKey } from "../../strings";
import { useNow } from "../../ui/values";
import { placeOf, titleOf, toneOf } from "../play/words";
import type { Machine } from "./store";
import { Cost, idleStopAt, Left, Running } from "./ticking";

const COLUMNS: readonly TextKey[] = [
  "machines.status",
  "machines.player",
  "machines.game",
  "machines.place",
  "machines.address",
  "machines.running",
  "machines.cost",
  "machines.idle",
  "machines.ends",
  "machines.open",
];
const WIDE = "(min-width: 68rem)";
const ROW_PX = 52;
const CARD_PX = 172;
const SPARE = 8; // rows beyond the edges
const AHEAD = 60; // the next page is loaded so many rows before the end

/** A table that renders only the rows in sight. On narrow screens a row is a card. */
export function Table({ machines, more, open }: { machines: Machine[]; more: () => void; open: (id: string) => void }) {
  const now = useNow(1000);
  const [wide, setWide] = useState(() => matchMedia(WIDE).matches);
  const [view, setView] = useState({ top: 0, height: 800 });
  const box = useRef<HTMLDivElement>(null);
  const rowPx = wide ? ROW_PX : CARD_PX;
  useEffect(() => {
    const media = matchMedia(WIDE);
    const changed = () => setWide(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, []);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const sizes = new ResizeObserver(look);
    sizes.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  const first = Math.max(0, Math.floor(view.top / rowPx) - SPARE);
  const last = Math.min(machines.length, Math.ceil((view.top + view.height) / rowPx) + SPARE);
  useEffect(() => {
    if (last + AHEAD >= machines.length) more();
  }, [last, machines.length, more]);
  return (
    <div
      ref={box}
      class="machines card"
      role="table"
      aria-label={t("machines.table")}
      aria-rowcount={machines.length + 1}
      tabIndex={0}
    >
      <div role="rowgroup" class="heads">
        <div role="row" aria-rowindex={1}>
          {COLUMNS.map((key) => (
            <span key={key} role="columnheader">
              {t(key)}
            </span>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="rows" style={{ height: `${machines.length * rowPx}px` }}>
        {machines.slice(first, last).map((machine, at) => (
          <Row key={machine.id} machine={machine} index={first + at} rowPx={rowPx} now={now} open={open} />
        ))}
      </div>
    </div>
  );
}

function Row(props: { machine: Machine; index: number; rowPx: number; now: number; open: (id: string) => void }) {
  const { machine, index, rowPx, now, open } = props;
  const cells = [
    <span class={`tag ${toneOf(machine.status)}`}>{t(`vmStatus.${machine.status}`)}</span>,
    machine.userId,
    `${titleOf(machine.gameId) ?? t("machines.menu")} (${machine.console.type})`,
    placeOf(machine.location),
    machine.stream?.host ?? machine.ipAddress ?? "–",
    <Running machine={machine} now={now} />,
    <Cost machine={machine} now={now} />,
    <Left until={idleStopAt(machine)} now={now} />,
    <Left until={machine.stopsAt === null ? undefined : Date.parse(machine.stopsAt)} now={now} />,
    <button type="button" aria-label={t("machines.openWhat", { name: machine.name })} onClick={() => open(machine.id)}>
      {t("machines.open")}
    </button>,
  ];
  const label = (at: number) => t(COLUMNS[at] ?? "machines.open");
  return (
    <div
      role="row"
      class={machine.warning ? "warned" : undefined}
      aria-rowindex={index + 2}
      style={{ height: `${rowPx}px`, transform: `translateY(${index * rowPx}px)` }}
    >
      {cells.map((cell, at) => (
        <span key={at} role="cell" data-label={at === cells.length - 1 ? undefined : label(at)}>
          <span class="cut">{cell}</span>
        </span>
      ))}
    </div>
  );
}
