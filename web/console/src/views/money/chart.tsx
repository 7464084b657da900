import { useEffect, useRef, useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { day, exactMoney, money } from "../../format";
import { t, type TextKey } from "../../strings";
import { Empty } from "../../ui/messages";
import { Money } from "../../ui/values";

type Report = Data<"CostReport">["costReport"];

const HEIGHT = 220;
const LEFT = 64;
const BELOW = 24;
const ABOVE = 8;

/** Names a group: a provider, or what else the report has. */
export function nameOf(group: string): string {
  return group === "TENSORDOCK" || group === "CLOUDYPAD" ? t(`provider.${group}` as TextKey) : group;
}

/** The cost of each day, stacked by provider, as a chart and as a table. */
export function DailyCosts({ report }: { report: Report }) {
  const groups = report.groups.map((line) => line.group);
  if (groups.length === 0) return <Empty>{t("money.nothing")}</Empty>;
  return (
    <>
      <ul class="row legend">
        {report.groups.map((line, at) => (
          <li key={line.group}>
            <span class={`swatch c${at % 4}`} aria-hidden="true" /> {nameOf(line.group)}: <Money exact={line.amount} />
          </li>
        ))}
        <li>
          {t("money.total")}: <strong data-total={report.total}><Money exact={report.total} /></strong>
        </li>
      </ul>
      <Chart report={report} groups={groups} />
      <details>
        <summary>{t("money.table")}</summary>
        <Days report={report} groups={groups} />
      </details>
    </>
  );
}

function Chart({ report, groups }: { report: Report; groups: string[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(700);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const sizes = new ResizeObserver(() => setWidth(Math.max(240, element.clientWidth)));
    sizes.observe(element);
    return () => sizes.disconnect();
  }, []);
  const most = Math.max(...report.buckets.map((bucket) => Number(bucket.amount)));
  const scale = (HEIGHT - BELOW - ABOVE) / (most || 1);
  const step = (width - LEFT) / report.buckets.length;
  const bottom = HEIGHT - BELOW;
  const every = Math.ceil(60 / step);
  return (
    <div ref={box} class="chart">
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        height={HEIGHT}
        role="img"
        aria-label={t("money.chart", { start: day(report.start), end: day(lastDay(report)) })}
      >
        {[0, 0.5, 1].map((share) => (
          <g key={share} transform={`translate(0 ${bottom - share * most * scale})`}>
            <line x1={LEFT} x2={width} class="grid" />
            <text x={LEFT - 8} dy="0.35em" text-anchor="end">
              {money(String(share * most))}
            </text>
          </g>
        ))}
        {report.buckets.map((bucket, at) => (
          <g key={bucket.start} transform={`translate(${LEFT + at * step} 0)`}>
            <Bar bucket={bucket} groups={groups} scale={scale} width={step} bottom={bottom} />
            {at % every === 0 && (
              <text x={step / 2} y={HEIGHT - 6} text-anchor={at === 0 ? "start" : "middle"}>
                {day(bucket.start).replace(/, \d+$/, "")}
              </text>
            )}
          </g>
        ))}
      </svg>
    </div>
  );
}

function Bar(props: { bucket: Report["buckets"][number]; groups: string[]; scale: number; width: number; bottom: number }) {
  const { bucket, groups, scale, width, bottom } = props;
  let top = bottom;
  return (
    <>
      {bucket.lines.map((line) => {
        const height = Number(line.amount) * scale;
        top -= height;
        return (
          <rect key={line.group} class={`c${groups.indexOf(line.group) % 4}`} x={width * 0.15} width={width * 0.7} y={top} height={height}>
            <title>{`${day(bucket.start)}, ${nameOf(line.group)}: ${exactMoney(line.amount)}`}</title>
          </rect>
        );
      })}
    </>
  );
}

function Days({ report, groups }: { report: Report; groups: string[] }) {
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label={t("money.perDay")}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("money.day")}</th>
            {groups.map((group) => (
              <th key={group} scope="col" class="number">
                {nameOf(group)}
              </th>
            ))}
            <th scope="col" class="number">
              {t("money.total")}
            </th>
          </tr>
        </thead>
        <tbody>
          {report.buckets.map((bucket) => (
            <tr key={bucket.start}>
              <th scope="row">{day(bucket.start)}</th>
              {groups.map((group) => (
                <td key={group} class="number">
                  <Money exact={bucket.lines.find((line) => line.group === group)?.amount ?? "0"} />
                </td>
              ))}
              <td class="number">
                <Money exact={bucket.amount} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function lastDay(report: Report): string {
  return report.buckets.at(-1)?.start ?? report.start;
}
