import { useEffect, useState } from "preact/hooks";
import { exactMoment, exactMoney, moment, money } from "../format";
import { t } from "../strings";

/** An amount in two digits, with all digits on hover. */
export function Money({ exact, currency = "USD" }: { exact: string; currency?: string }) {
  return (
    <data class="money" value={exact} title={exactMoney(exact, currency)}>
      {money(exact, currency)}
    </data>
  );
}

/** A moment in the viewer's time zone, with seconds and zone on hover. */
export function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={exactMoment(at)}>
      {moment(at)}
    </time>
  );
}

/** Returns the current time, and renders again every so many milliseconds. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** A short text with a button that copies it. */
export function Copyable({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <span class="copyable">
      <code>{text}</code>
      {navigator.clipboard && (
        <button
          type="button"
          class="quiet"
          aria-label={`${t("app.copy")} ${text}`}
          onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
        >
          {copied ? t("app.copied") : t("app.copy")}
        </button>
      )}
    </span>
  );
}
