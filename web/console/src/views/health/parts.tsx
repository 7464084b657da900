import { useEffect, useState } from "preact/hooks";
import { ENDPOINT } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment } from "../../ui/values";

interface Check {
  ok: boolean;
  detail?: string;
}

const EVERY_S = 15;

/** The database, Temporal and the clouds, each with its last sweep. */
export function Parts() {
  const checks = useReadiness();
  const providers = useQuery("Providers", {}, { everySeconds: EVERY_S });
  const sweeps = useQuery("Sweeps", {}, { everySeconds: EVERY_S });
  return (
    <section class="card stack" aria-labelledby="parts-title">
      <h2 id="parts-title">{t("health.parts")}</h2>
      <ErrorMessage error={providers.error ?? sweeps.error} retry={providers.reload} />
      {!providers.data && !providers.error && <Skeleton rows={4} height="2rem" />}
      <ul class="stack">
        {checks && (
          <>
            <Part name={t("health.database")} check={checks.database} />
            <Part name={t("health.engine")} check={checks.engine} />
          </>
        )}
        {providers.data?.providers.map((one) => {
          const swept = sweeps.data?.sweeps.find((sweep) => sweep.provider === one.name)?.at;
          return (
            <Part
              key={one.name}
              name={t(`provider.${one.name}`)}
              check={one.configured ? { ok: one.healthy, detail: one.detail ?? undefined } : undefined}
            >
              {one.simulated && <span class="tag">{t("health.simulated")}</span>}
              {one.configured && (
                <span class="muted">
                  {swept ? (
                    <>
                      {t("health.swept")} <Moment at={swept} />
                    </>
                  ) : (
                    t("health.neverSwept")
                  )}
                </span>
              )}
            </Part>
          );
        })}
      </ul>
    </section>
  );
}

function Part(props: { name: string; check: Check | undefined; children?: preact.ComponentChildren }) {
  const { name, check, children } = props;
  const tone = check ? (check.ok ? "good" : "bad") : "";
  return (
    <li class="row">
      <strong>{name}</strong>
      <span class={`tag ${tone}`}>{t(check ? (check.ok ? "health.ok" : "health.bad") : "health.notConfigured")}</span>
      {children}
      {check?.detail && <span class="muted">{check.detail}</span>}
    </li>
  );
}

/** Returns what the service says of its own parts. */
function useReadiness(): Record<string, Check> | undefined {
  const [checks, setChecks] = useState<Record<string, Check>>();
  useEffect(() => {
    const ask = () =>
      void fetch(ENDPOINT.replace(/\/graphql$/, "/ready"), { credentials: "omit" })
        .then((response) => response.json())
        .then((answer: { checks: Record<string, Check> }) => setChecks(answer.checks))
        .catch(() => undefined);
    ask();
    const timer = setInterval(ask, EVERY_S * 1000);
    return () => clearInterval(timer);
  }, []);
  return checks;
}
