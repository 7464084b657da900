import { useEffect, useRef, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment } from "../../ui/values";

type Entry = Data<"AuditLog">["auditLog"]["edges"][number]["node"];

const PAGE = 50;

/** The audit log: of one subject, if one is given; words narrow down what is loaded. */
export function AuditLog() {
  const [subject, setSubject] = useState("");
  const [words, setWords] = useState("");
  const variables = { subjectId: subject || null, first: PAGE };
  const { data, error, reload } = useQuery("AuditLog", variables);
  const [older, setOlder] = useState<Entry[]>([]);
  const [cursor, setCursor] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const asking = useRef<AbortController | undefined>(undefined);
  useEffect(() => {
    setOlder([]);
    setFailure(undefined);
    setCursor(data?.auditLog.pageInfo.hasNextPage ? data.auditLog.pageInfo.endCursor : null);
    return () => {
      asking.current?.abort();
      asking.current = undefined;
      setBusy(false);
    };
  }, [data]);
  const more = async () => {
    if (asking.current) return;
    const { signal } = (asking.current = new AbortController());
    setBusy(true);
    setFailure(undefined);
    try {
      const { auditLog } = await request("AuditLog", { ...variables, after: cursor }, signal);
      if (signal.aborted) return;
      setOlder((last) => [...last, ...auditLog.edges.map((edge) => edge.node)]);
      setCursor(auditLog.pageInfo.hasNextPage ? auditLog.pageInfo.endCursor : null);
    } catch (error) {
      if (!signal.aborted) setFailure(error);
    }
    if (signal.aborted) return;
    asking.current = undefined;
    setBusy(false);
  };
  const entries = data && [...data.auditLog.edges.map((edge) => edge.node), ...older];
  const shown = entries?.filter((entry) => has(entry, words));
  return (
    <section class="card stack" aria-labelledby="audit-title">
      <div>
        <h2 id="audit-title">{t("health.audit")}</h2>
        <p class="muted">{t("health.auditWhat")}</p>
      </div>
      <div class="row audit-filters">
        <label class="field">
          {t("health.subject")}
          <input placeholder={t("health.subjectHow")} onChange={(event) => setSubject(event.currentTarget.value.trim())} />
        </label>
        <label class="field">
          {t("health.words")}
          <input type="search" placeholder={t("health.wordsHow")} onInput={(event) => setWords(event.currentTarget.value)} />
        </label>
      </div>
      <ErrorMessage error={error ?? failure} retry={error ? reload : () => void more()} />
      {!shown && !error && <Skeleton rows={4} />}
      {shown?.length === 0 && <Empty>{t("health.noAudit")}</Empty>}
      {shown && shown.length > 0 && (
        <div class="table-wrap tall" tabIndex={0} role="region" aria-labelledby="audit-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("health.time")}</th>
                <th scope="col">{t("health.actor")}</th>
                <th scope="col">{t("health.action")}</th>
                <th scope="col">{t("health.outcome")}</th>
                <th scope="col">{t("health.subject")}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((entry) => (
                <tr key={entry.id}>
                  <td>
                    <Moment at={entry.at} />
                  </td>
                  <td>{entry.actorId}</td>
                  <td>{entry.action}</td>
                  <td>
                    {entry.outcome}
                    {entry.detail && <div class="muted">{entry.detail}</div>}
                  </td>
                  <td class="id">{entry.subjectId ?? "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {cursor && (
        <p class="actions start">
          <button type="button" disabled={busy} onClick={() => void more()}>
            {t("health.older")}
          </button>
        </p>
      )}
    </section>
  );
}

function has(entry: Entry, words: string): boolean {
  const text = [entry.actorId, entry.action, entry.outcome, entry.detail, entry.subjectId].join(" ").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
