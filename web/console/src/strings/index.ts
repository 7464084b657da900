// All texts of the page. Another language is another table of the same keys.

import { en } from "./en";

export type TextKey = keyof typeof en;
type Plural<Key> = Key extends `${infer Base}.other` ? Base : never;
export type PluralKey = Plural<TextKey>;
type Values = Record<string, string | number>;

export const LOCALE = "en";
const PLURALS = new Intl.PluralRules(LOCALE);

/** Returns a text with `{name}` replaced by the values. */
export function t(key: TextKey, values: Values = {}): string {
  return en[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** Returns the text for a number of things; `{count}` is the number. */
export function tn(key: PluralKey, count: number, values: Values = {}): string {
  const form = `${key}.${PLURALS.select(count)}` as TextKey;
  return t(form in en ? form : (`${key}.other` as TextKey), { count, ...values });
}
