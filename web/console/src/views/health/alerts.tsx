import { useFollow, useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment } from "../../ui/values";

const TONES = { INFO: "accent", WARNING: "warn", CRITICAL: "bad" };

/** What needs an operator now, current without reloading. */
export function Alerts() {
  const alerts = useQuery("OperatorAlerts", { limit: 100 });
  useFollow("OperatorAlertChanged", {}, alerts.reload);
  const open = alerts.data?.operatorAlerts;
  return (
    <section class="card stack" aria-labelledby="alerts-title">
      <h2 id="alerts-title">{t("health.alerts")}</h2>
      <ErrorMessage error={alerts.error} retry={alerts.reload} />
      {!open && !alerts.error && <Skeleton rows={2} />}
      {open?.length === 0 && <Empty>{t("health.noAlerts")}</Empty>}
      <ul class="stack" aria-live="polite">
        {open?.map((alert) => (
          <li key={`${alert.code} ${alert.subjectId}`}>
            <span class={`tag ${TONES[alert.level]}`}>{t(`health.level.${alert.level}`)}</span> {alert.message}{" "}
            <span class="muted">
              {alert.code}, <Moment at={alert.raisedAt} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
