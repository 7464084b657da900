import { useMutation, useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { ErrorMessage, Skeleton } from "../../ui/messages";

/** The warm pool and what it may cost. */
export function WarmPool() {
  const { data, error, reload } = useQuery("WarmPool", {}, { everySeconds: 60 });
  const mutation = useMutation("SetWarmPool");
  const pool = data?.warmPool;
  const save = async (form: HTMLFormElement) => {
    const ceilingPerDay = String(new FormData(form).get("ceiling")).trim();
    if (await mutation.run({ input: { ceilingPerDay } })) reload();
  };
  return (
    <section class="card stack" aria-labelledby="pool-title">
      <h2 id="pool-title">{t("health.pool")}</h2>
      <ErrorMessage error={error} retry={reload} />
      {!pool && !error && <Skeleton rows={2} />}
      {pool && (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void save(event.currentTarget);
          }}
        >
          <p>{t("health.poolWhat", { count: pool.machines.length, spent: pool.spentToday })}</p>
          <label class="field">
            {t("health.ceiling")}
            <input name="ceiling" inputMode="decimal" defaultValue={pool.ceilingPerDay} required />
          </label>
          <ErrorMessage error={mutation.error} />
          <p class="actions">
            <button type="submit" disabled={mutation.busy}>
              {t("health.save")}
            </button>
          </p>
        </form>
      )}
    </section>
  );
}
