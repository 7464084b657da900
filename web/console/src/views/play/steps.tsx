import type { StepStatus } from "../../graphql/generated";
import { duration } from "../../format";
import { t } from "../../strings";
import { useNow } from "../../ui/values";
import type { Launch } from "./launch";

type Step = Launch["steps"][number];
const SIGNS: Record<StepStatus, string> = { PENDING: "○", RUNNING: "◐", DONE: "✓", SKIPPED: "–", FAILED: "✕" };

/** The nine steps of a launch, with their states and times. */
export function Steps({ steps, over }: { steps: Step[]; over: boolean }) {
  return (
    <section class="card" aria-labelledby="steps-title">
      <h2 id="steps-title">{t("launch.steps")}</h2>
      <ol class="steps">
        {steps.map((step) => (
          <li key={step.name} data-step={step.name} data-status={step.status}>
            <span class="sign" aria-hidden="true">
              {SIGNS[step.status]}
            </span>
            <span>
              {t(`step.${step.name}`)} <span class="hidden">{t(`stepStatus.${step.status}`)}</span>
              <small class="muted detail">{step.detail ?? "\u00a0"}</small>
            </span>
            <span class="muted number">{over || step.status !== "RUNNING" ? took(step) : <Running step={step} />}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Running({ step }: { step: Step }) {
  const now = useNow();
  if (step.startedAt === null) return null;
  return <>{duration((now - Date.parse(step.startedAt)) / 1000)}</>;
}

function took(step: Step): string {
  if (step.startedAt === null || step.finishedAt === null || step.status === "SKIPPED") return "";
  return duration((Date.parse(step.finishedAt) - Date.parse(step.startedAt)) / 1000);
}
