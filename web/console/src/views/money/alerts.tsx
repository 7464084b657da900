import { useFollow, useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment } from "../../ui/values";

const TONES = { INFO: "accent", WARNING: "warn", CRITICAL: "bad" };

/** The alerts of the current day and month, with new ones as they are raised. */
export function Alerts() {
  const alerts = useQuery("SpendingAlerts", {});
  useFollow("SpendingAlertRaised", {}, alerts.reload);
  const raised = alerts.data?.spendingAlerts;
  return (
    <section class="card stack" aria-labelledby="alerts-title">
      <h2 id="alerts-title">{t("money.alerts")}</h2>
      <ErrorMessage error={alerts.error} retry={alerts.reload} />
      {!raised && !alerts.error && <Skeleton rows={2} />}
      {raised?.length === 0 && <Empty>{t("money.noAlerts")}</Empty>}
      <ul class="stack">
        {raised?.map((alert) => (
          <li key={`${alert.raisedAt} ${alert.level} ${alert.period} ${alert.userId}`}>
            <span class={`tag ${TONES[alert.level]}`}>{t(`money.level.${alert.level}`)}</span> {alert.message}{" "}
            <span class="muted">
              <Moment at={alert.raisedAt} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
