import { useQuery } from "../../graphql/hooks";
import { replaceQuery } from "../../router";
import { t } from "../../strings";
import { ErrorMessage, Skeleton } from "../../ui/messages";
import type { ViewProps } from "../../views";
import { Alerts } from "./alerts";
import { DailyCosts } from "./chart";
import { Comparison } from "./comparison";
import { Limits } from "./limits";
import { periodOf, type Period, type PeriodName } from "./period";
import { Receipts } from "./receipts";
import "./money.css";

const PERIODS: readonly PeriodName[] = ["month", "last", "days"];

const dailyBy = ({ start, end }: Period) => ({ start, end, granularity: "DAY", groupBy: "PROVIDER" }) as const;

/** What machines cost: by day and provider, against limits and bills, and by session. */
export default function MoneyView({ route }: ViewProps) {
  const chosen = PERIODS.find((name) => name === route.query.get("period")) ?? "month";
  const period = periodOf(chosen);
  const report = useQuery("CostReport", dailyBy(period), { everySeconds: 60 });
  return (
    <>
      <h1>{t("money.title")}</h1>
      <div class="stack">
        <div class="money-top">
          <Limits />
          <Alerts />
        </div>
        <section class="card stack" aria-labelledby="days-title">
          <div class="row apart">
            <h2 id="days-title">{t("money.perDay")}</h2>
            <label class="field">
              <span class="hidden">{t("money.period")}</span>
              <select value={chosen} onChange={(event) => replaceQuery({ period: event.currentTarget.value })}>
                {PERIODS.map((name) => (
                  <option key={name} value={name}>
                    {t(`money.${name}`)}
                  </option>
                ))}
              </select>
            </label>
          </div>
          <ErrorMessage error={report.error} retry={report.reload} />
          {report.data ? <DailyCosts report={report.data.costReport} /> : !report.error && <Skeleton rows={1} height="15rem" />}
        </section>
        <Comparison period={period} />
        <Receipts period={period} />
      </div>
    </>
  );
}
