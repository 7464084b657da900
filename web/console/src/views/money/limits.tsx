import { useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useMutation, useQuery } from "../../graphql/hooks";
import { percent } from "../../format";
import { t } from "../../strings";
import { Confirm } from "../../ui/dialog";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Money } from "../../ui/values";

type Limit = Data<"SpendingLimits">["spendingLimits"][number];
type Month = Data<"CurrentMonthCosts">["currentMonthCosts"];

/** The month so far with its forecast, beside the limits, which can be set and removed here. */
export function Limits() {
  const month = useQuery("CurrentMonthCosts", {}, { everySeconds: 60 });
  const limits = useQuery("SpendingLimits", {});
  const costs = month.data?.currentMonthCosts;
  const [removing, setRemoving] = useState<Limit>();
  return (
    <section class="card stack" aria-labelledby="month-title">
      <h2 id="month-title">{t("money.spent")}</h2>
      <ErrorMessage error={month.error} retry={month.reload} />
      {costs ? <Spent costs={costs} /> : !month.error && <Skeleton rows={1} height="4rem" />}
      <h3>{t("money.limits")}</h3>
      <ErrorMessage error={limits.error} retry={limits.reload} />
      {limits.data?.spendingLimits.length === 0 && <Empty>{t("money.noLimits")}</Empty>}
      <ul class="limits">
        {limits.data?.spendingLimits.map((limit) => (
          <li key={`${limit.period} ${limit.userId}`}>
            <OneLimit limit={limit} month={costs} remove={() => setRemoving(limit)} />
          </li>
        ))}
      </ul>
      <SetLimit done={limits.reload} />
      {removing && <Remove limit={removing} done={limits.reload} close={() => setRemoving(undefined)} />}
    </section>
  );
}

function Spent({ costs }: { costs: Month }) {
  return (
    <div class="figures">
      <p>
        <span class="figure">
          <Money exact={costs.total} />
        </span>
        <span class="muted">{t("money.hours", { hours: costs.runningHours.toFixed(1) })}</span>
      </p>
      {costs.forecast !== null && (
        <p>
          <span class="figure">
            <Money exact={costs.forecast} />
          </span>
          <span class="muted">
            {t("money.forecast")}, {t("money.forecastWhat")}
          </span>
        </p>
      )}
    </div>
  );
}

function OneLimit({ limit, month, remove }: { limit: Limit; month: Month | undefined; remove: () => void }) {
  const ofMonth = limit.period === "MONTHLY" && limit.userId === null ? month : undefined;
  const share = ofMonth ? Number(ofMonth.total) / Number(limit.amount) : 0;
  return (
    <>
      <div class="row apart">
        <span>
          <strong>{limit.userId ?? t("money.platform")}</strong>: <Money exact={limit.amount} />{" "}
          {t(`money.${limit.period}`)}
        </span>
        <button type="button" class="quiet" onClick={remove}>
          {t("money.remove")}
        </button>
      </div>
      {limit.hard && <p class="muted">{t("money.hard")}</p>}
      {ofMonth && (
        <>
          <progress value={Math.min(1, share)} aria-label={t("money.limits")} />
          <p class="muted">
            {t("money.ofLimit", {
              share: percent(share),
              forecast: percent(Number(ofMonth.forecast ?? ofMonth.total) / Number(limit.amount)),
            })}
          </p>
        </>
      )}
    </>
  );
}

function SetLimit({ done }: { done: () => void }) {
  const mutation = useMutation("SetSpendingLimit");
  const save = async (form: HTMLFormElement) => {
    const fields = new FormData(form);
    const saved = await mutation.run({
      input: {
        period: fields.get("period") === "DAILY" ? "DAILY" : "MONTHLY",
        amount: String(fields.get("amount")).trim(),
        hard: fields.get("hard") === "on",
        userId: String(fields.get("userId")).trim() || null,
      },
    });
    if (!saved) return;
    form.reset();
    done();
  };
  return (
    <details>
      <summary>{t("money.addLimit")}</summary>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save(event.currentTarget);
        }}
      >
        <label class="field">
          {t("money.limitPeriod")}
          <select name="period">
            <option value="MONTHLY">{t("money.MONTHLY")}</option>
            <option value="DAILY">{t("money.DAILY")}</option>
          </select>
        </label>
        <label class="field">
          {t("money.limitAmount")}
          <input name="amount" inputMode="decimal" required />
        </label>
        <label class="field">
          {t("money.limitUser")}
          <input name="userId" />
        </label>
        <label class="row">
          <input type="checkbox" name="hard" /> {t("money.limitHard")}
        </label>
        <ErrorMessage error={mutation.error} />
        <p class="actions">
          <button type="submit" class="primary" disabled={mutation.busy}>
            {t("money.save")}
          </button>
        </p>
      </form>
    </details>
  );
}

function Remove({ limit, done, close }: { limit: Limit; done: () => void; close: () => void }) {
  const mutation = useMutation("RemoveSpendingLimit");
  const remove = async () => {
    if (!(await mutation.run({ input: { period: limit.period, userId: limit.userId } }))) return;
    done();
    close();
  };
  return (
    <Confirm
      title={`${t("money.remove")}: ${limit.userId ?? t("money.platform")}`}
      action={t("money.remove")}
      danger
      busy={mutation.busy}
      error={mutation.error}
      close={close}
      confirm={() => void remove()}
    >
      <p>{t("money.removeWhat")}</p>
    </Confirm>
  );
}
