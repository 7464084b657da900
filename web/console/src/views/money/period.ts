// Periods of whole days, UTC, as the API takes them.

export type PeriodName = "month" | "last" | "days";

export interface Period {
  start: string;
  end: string;
  /** The month whose CSV is offered. */
  month: string;
}

const DAY_MS = 86_400_000;
const dateOf = (moment: number): string => new Date(moment).toISOString().slice(0, 10);

export function periodOf(name: string | null, now = Date.now()): Period {
  const today = new Date(now);
  const first = Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), 1);
  if (name === "last") {
    const end = first - DAY_MS;
    return { start: `${dateOf(end).slice(0, 7)}-01`, end: dateOf(end), month: dateOf(end).slice(0, 7) };
  }
  const start = name === "days" ? now - 29 * DAY_MS : first;
  return { start: dateOf(start), end: dateOf(now), month: dateOf(now).slice(0, 7) };
}
