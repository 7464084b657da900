import { href } from "../../router";
import { t } from "../../strings";
import { Alerts } from "./alerts";
import { AuditLog } from "./audit-log";
import { Consoles } from "./consoles";
import { Keys } from "./keys";
import { LaunchTimes } from "./launch-times";
import { Parts } from "./parts";
import { WarmPool } from "./warm-pool";
import "./health.css";

/** Whether everything works, who did what, and what operators may change. */
export default function Health() {
  return (
    <>
      <h1>{t("health.title")}</h1>
      <div class="stack">
        <div class="health-top">
          <Parts />
          <Alerts />
        </div>
        <LaunchTimes />
        <AuditLog />
        <Keys />
        <Consoles />
        <WarmPool />
        <p>
          <a href={href(["money"])}>{t("health.limits")}</a>
        </p>
      </div>
    </>
  );
}
