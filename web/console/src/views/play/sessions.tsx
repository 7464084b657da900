import type { Data } from "../../graphql/client";
import { percent } from "../../format";
import { href } from "../../router";
import { t } from "../../strings";
import { Moment, Money } from "../../ui/values";
import { placeOf, titleOf, toneOf } from "./words";

export type Machine = Data<"Sessions">["vms"]["edges"][number]["node"];
type Launch = Data<"Sessions">["launches"]["edges"][number]["node"];

/** Shows what the player has under way or running, with the way back to it. */
export function Sessions({ sessions }: { sessions: Data<"Sessions"> | undefined }) {
  const launches = sessions?.launches.edges.map((edge) => edge.node) ?? [];
  const machines = sessions?.vms.edges.map((edge) => edge.node) ?? [];
  if (launches.length + machines.length === 0) return null;
  return (
    <section aria-labelledby="sessions-title" class="card">
      <h2 id="sessions-title">{t("play.sessions")}</h2>
      <ul class="sessions">
        {launches.map((launch) => (
          <UnderWay key={launch.id} launch={launch} />
        ))}
        {machines.map((machine) => (
          <OfMachine key={machine.id} machine={machine} />
        ))}
      </ul>
    </section>
  );
}

function UnderWay({ launch }: { launch: Launch }) {
  return (
    <li class="row apart">
      <span class="row">
        <strong>{titleOf(launch.gameId) ?? launch.console.name}</strong>
        <span class="tag accent">{t(`launchStatus.${launch.status}`)}</span>
        <span class="muted">{percent(launch.progress)}</span>
      </span>
      <a class="button" href={href(["play", "launch", launch.id])}>
        {t("play.watch")}
      </a>
    </li>
  );
}

function OfMachine({ machine }: { machine: Machine }) {
  return (
    <li class="row apart">
      <span class="row">
        <strong>{titleOf(machine.gameId) ?? machine.console.name}</strong>
        <span class={`tag ${toneOf(machine.status)}`}>{t(`vmStatus.${machine.status}`)}</span>
        <span class="muted">
          {placeOf(machine.location)} · <Money exact={machine.costSoFar} />
          {machine.stopsAt && (
            <>
              {" · "}
              {t("play.until")} <Moment at={machine.stopsAt} />
            </>
          )}
        </span>
      </span>
      {machine.launch && (
        <a class="button" href={href(["play", "launch", machine.launch.id])}>
          {t("play.open")}
        </a>
      )}
      {machine.warning && <p class="message warn">{machine.warning}</p>}
    </li>
  );
}
