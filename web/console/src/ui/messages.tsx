import type { ComponentChildren } from "preact";
import { sentenceOf, Failure } from "../graphql/errors";
import { t } from "../strings";

/** Explains an error; nothing if there is none. `retry` adds a button. */
export function ErrorMessage({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === undefined || error === null) return null;
  const outdated = error instanceof Failure && error.code === "PERSISTED_QUERY_NOT_FOUND";
  return (
    <div class="message bad" role="alert">
      <p>
        <strong>{t("error.title")}.</strong> {sentenceOf(error)}
      </p>
      {outdated ? (
        <button type="button" onClick={() => window.location.reload()}>
          {t("app.reload")}
        </button>
      ) : (
        retry && (
          <button type="button" onClick={retry}>
            {t("app.tryAgain")}
          </button>
        )
      )}
    </div>
  );
}

/** Says that there is nothing to show, and what to do about it. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

/** A remark that is no error. */
export function Notice({ tone = "info", children }: { tone?: "info" | "warn" | "good"; children: ComponentChildren }) {
  return (
    <div class={`message ${tone}`} role="status">
      {children}
    </div>
  );
}

/** Keeps the room of rows that are still being loaded, so that nothing moves when they come. */
export function Skeleton({ rows = 3, height = "3.25rem" }: { rows?: number; height?: string }) {
  return (
    <div class="skeleton" aria-busy="true" aria-label={t("app.loading")} role="status">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} style={{ height }} />
      ))}
    </div>
  );
}
