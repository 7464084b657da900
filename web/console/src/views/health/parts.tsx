import { useEffect, useState } from "preact/hooks";
import { ENDPOINT } from "../../graphql/client";
import { Failure } from "../../graphql/errors";
import { useQuery } from "../../graphql/hooks";
import { t, type TextKey } from "../../strings";
import { ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment } from "../../ui/values";

interface Check {
  /** Whether the part works; null if that is not known. */
  ok: boolean | null;
  detail?: string;
}

const UNKNOWN: Check = { ok: null };

const EVERY_S = 15;

/** The database, Temporal and the clouds, each with its last sweep. */
export function Parts() {
  const { checks, error, reload } = useReadiness();
  const providers = useQuery("Providers", {}, { everySeconds: EVERY_S });
  const sweeps = useQuery("Sweeps", {}, { everySeconds: EVERY_S });
  const retry = () => [providers, sweeps, { reload }].forEach((each) => each.reload());
  return (
    <section class="card stack" aria-labelledby="parts-title">
      <h2 id="parts-title">{t("health.parts")}</h2>
      <ErrorMessage error={providers.error ?? sweeps.error ?? error} retry={retry} />
      {!providers.data && !providers.error && <Skeleton rows={4} height="2rem" />}
      <ul class="stack">
        {(checks || error) && (
          <>
            <Part name={t("health.database")} check={error ? UNKNOWN : checks?.database} />
            <Part name={t("health.engine")} check={error ? UNKNOWN : checks?.engine} />
          </>
        )}
        {providers.data?.providers.map((one) => {
          const check = providers.error ? UNKNOWN : { ok: one.healthy, detail: one.detail ?? undefined };
          const swept = sweeps.data?.sweeps.find((sweep) => sweep.provider === one.name)?.at;
          return (
            <Part
              key={one.name}
              name={t(`provider.${one.name}`)}
              check={one.configured ? check : undefined}
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
  const [tone, word] = judged(check);
  return (
    <li class="row">
      <strong>{name}</strong>
      <span class={`tag ${tone}`}>{t(word)}</span>
      {children}
      {check?.detail && <span class="muted">{check.detail}</span>}
    </li>
  );
}

function judged(check: Check | undefined): [tone: string, word: TextKey] {
  if (!check) return ["", "health.notConfigured"];
  if (check.ok === null) return ["warn", "health.unknown"];
  return check.ok ? ["good", "health.ok"] : ["bad", "health.bad"];
}

/** Returns what the service says of its own parts, or why it does not say that now. */
function useReadiness(): { checks?: Record<string, Check>; error?: Failure; reload: () => void } {
  const [state, setState] = useState<{ checks?: Record<string, Check>; error?: Failure }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ask = () =>
      void readiness().then(
        (checks) => setState({ checks }),
        (error: Failure) => setState({ error }),
      );
    ask();
    const timer = setInterval(ask, EVERY_S * 1000);
    return () => clearInterval(timer);
  }, [turn]);
  return { ...state, reload: () => setTurn((last) => last + 1) };
}

async function readiness(): Promise<Record<string, Check>> {
  const signal = AbortSignal.timeout(EVERY_S * 1000);
  try {
    const response = await fetch(ENDPOINT.replace(/\/graphql$/, "/ready"), { credentials: "omit", signal });
    const { checks } = (await response.json()) as { checks?: Record<string, Check> };
    if (checks) return checks;
  } catch {
    throw new Failure("NETWORK", "");
  }
  throw new Failure("UNAVAILABLE", "");
}
