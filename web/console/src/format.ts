// Money, times and sizes for display, in the language of the strings and the time zone of the viewer.

import { LOCALE, t, tn } from "./strings";

const TWO_DIGITS: Intl.NumberFormatOptions = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const MOMENT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const CLOCK = new Intl.DateTimeFormat(LOCALE, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeZone: "UTC" });
const WHOLE = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const ONE_DIGIT = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });

/** Returns an amount in two digits. `exact` is the API's string; an amount above zero is not shown as zero. */
export function money(exact: string, currency = "USD"): string {
  const amounts = new Intl.NumberFormat(LOCALE, { style: "currency", currency, ...TWO_DIGITS });
  const value = Number(exact);
  if (value > 0 && value < 0.005) return `< ${amounts.format(0.01)}`;
  return amounts.format(Math.abs(value) < 0.005 ? 0 : value);
}

/** Returns all digits of an amount with its currency. */
export function exactMoney(exact: string, currency = "USD"): string {
  return `${exact} ${currency}`;
}

/** Returns date and time. */
export function moment(iso: string): string {
  return MOMENT.format(new Date(iso));
}

/** Returns date and time with seconds and the time zone. */
export function exactMoment(iso: string): string {
  return EXACT.format(new Date(iso));
}

/** Returns the time of day with seconds. */
export function clock(iso: string): string {
  return CLOCK.format(new Date(iso));
}

/** Returns a date of the API, which is a day in UTC. */
export function day(date: string): string {
  return DAY.format(new Date(`${date.slice(0, 10)}T00:00:00Z`));
}

/** Returns a length of time in its two largest units, such as `1 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("unit.seconds", { count: whole });
  const minutes = Math.round(whole / 60);
  if (whole < 600 && whole % 60) return t("unit.minutesSeconds", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
  if (minutes < 60) return t("unit.minutes", { count: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return tn("unit.days", Math.round(hours / 24));
  return minutes % 60 ? t("unit.hoursMinutes", { hours, minutes: minutes % 60 }) : t("unit.hours", { count: hours });
}

export function bytes(count: number): string {
  if (count < 1000) return t("unit.bytes", { count });
  const units = ["kB", "MB", "GB", "TB"];
  const power = Math.min(units.length, Math.floor(Math.log10(count) / 3));
  return `${ONE_DIGIT.format(count / 1000 ** power)} ${units[power - 1]}`;
}

export function kilometres(distance: number): string {
  return t("unit.kilometres", { count: WHOLE.format(distance) });
}

export function milliseconds(count: number): string {
  return t("unit.milliseconds", { count: WHOLE.format(count) });
}

export function percent(share: number): string {
  return new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

export function whole(count: number): string {
  return WHOLE.format(count);
}
