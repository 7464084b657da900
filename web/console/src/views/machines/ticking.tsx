// What grows or runs out while one looks at it.

import { clock, duration, exactMoney, money } from "../../format";
import { t } from "../../strings";
import type { Machine } from "./store";

const PAID_IN_FULL = new Set(["PROVISIONING", "RUNNING", "STOPPING", "STARTING", "DELETING"]);

/** The cost by the API, and since then by the price; on hover the exact sum with its time. */
export function Cost({ machine, now }: { machine: Machine; now: number }) {
  const { costSoFar, hourlyPrice, readAt, status } = machine;
  const hours = PAID_IN_FULL.has(status) ? Math.max(0, now - readAt) / 3_600_000 : 0;
  const shown = hours === 0 ? costSoFar : String(Number(costSoFar) + Number(hourlyPrice) * hours);
  const exact = t("machines.asOf", { amount: costSoFar, time: clock(new Date(readAt).toISOString()) });
  return (
    <data class="money" value={costSoFar} title={hours === 0 ? exactMoney(costSoFar) : exact}>
      {money(shown)}
    </data>
  );
}

export function Running({ machine, now }: { machine: Machine; now: number }) {
  const since = machine.status === "RUNNING" ? Math.max(0, now - machine.readAt) / 1000 : 0;
  return <span class="number">{duration(machine.runningSeconds + since)}</span>;
}

/** When an idle machine is stopped: so long after its last activity, or after its start. */
export function idleStopAt(machine: Machine): number | undefined {
  const since = machine.lastActivityAt ?? machine.startedAt;
  if (machine.status !== "RUNNING" || since === null) return undefined;
  return Date.parse(since) + machine.idleStopMinutes * 60_000;
}

export function Left({ until, now }: { until: number | undefined; now: number }) {
  if (until === undefined) return <span class="muted">–</span>;
  const left = (until - now) / 1000;
  return <span class="number">{left > 0 ? t("machines.in", { time: duration(left) }) : t("machines.due")}</span>;
}
