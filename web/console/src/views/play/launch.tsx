import { useEffect, useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useFollow, useMutation, useQuery } from "../../graphql/hooks";
import { clock, duration } from "../../format";
import { href } from "../../router";
import { t } from "../../strings";
import { announce } from "../../ui/announcer";
import { Confirm } from "../../ui/dialog";
import { Empty, ErrorMessage, Notice, Skeleton } from "../../ui/messages";
import { useNow } from "../../ui/values";
import { MachinePart } from "./machine";
import { Steps } from "./steps";
import { titleOf } from "./words";

type Event = Data<"FollowLaunch">["launchProgress"];
export type Launch = Event["launch"];

const OVER: readonly Launch["status"][] = ["READY", "CANCELLED", "FAILED"];
const CANCELLABLE: readonly Launch["status"][] = ["QUEUED", "RUNNING"];

/** Follows a launch to its end, and then the machine. */
export function LaunchView({ id }: { id: string }) {
  const loaded = useQuery("Launch", { id });
  const [events, setEvents] = useState<Event[]>([]);
  const { failure } = useFollow(
    "FollowLaunch",
    { launchId: id, after: 0 },
    ({ launchProgress }) => setEvents((known) => [...known, launchProgress]),
    ({ launchProgress }) => ({ after: launchProgress.sequence }),
  );
  const last = events.at(-1);
  const launch = last?.launch ?? loaded.data?.launch;
  useEffect(() => {
    if (last) announce(last.message);
  }, [last?.sequence]);
  if (loaded.data?.launch === null) return <Empty>{t("launch.notFound")}</Empty>;
  if (!launch) {
    return loaded.error ? <ErrorMessage error={loaded.error} retry={loaded.reload} /> : <Skeleton rows={9} />;
  }
  return (
    <>
      <p>
        <a href={href(["play"])}>{t("launch.back")}</a>
      </p>
      <Heading launch={launch} />
      <div class="launch">
        <div class="stack">
          <ErrorMessage error={failure} />
          {launch.failure && <p class="message bad">{launch.failure}</p>}
          {launch.warning && <Notice tone="warn">{launch.warning}</Notice>}
          {launch.vm && launch.status === "READY" && <MachinePart id={launch.vm.id} />}
          <Progress launch={launch} message={last?.message} />
          <Attempts attempts={launch.attempts} />
        </div>
        <div class="stack">
          <Steps steps={launch.steps} over={OVER.includes(launch.status)} />
          <Log events={events} />
        </div>
      </div>
    </>
  );
}

function Heading({ launch }: { launch: Launch }) {
  const tone = launch.status === "READY" ? "good" : launch.status === "FAILED" ? "bad" : "accent";
  return (
    <header class="row launch-heading">
      <h1>{titleOf(launch.gameId) ?? launch.console.name}</h1>
      <span class={`tag ${tone}`} data-status={launch.status}>
        {t(`launchStatus.${launch.status}`)}
      </span>
      <span class="muted">
        {launch.console.name}
        {launch.saveId && ` · ${t("launch.save", { save: launch.saveId })}`}
      </span>
    </header>
  );
}

function Progress({ launch, message }: { launch: Launch; message: string | undefined }) {
  if (OVER.includes(launch.status)) {
    const seconds = launch.playableAfterSeconds;
    return seconds === null ? null : <p class="muted">{t("launch.took", { time: duration(seconds) })}</p>;
  }
  return (
    <section class="card stack" aria-labelledby="progress-title">
      <h2 id="progress-title">{t("launch.progress")}</h2>
      <progress value={launch.progress} max={1} aria-labelledby="progress-title" />
      <p class="now">{message ?? "\u00a0"}</p>
      <Expected launch={launch} />
      {CANCELLABLE.includes(launch.status) && <Cancel id={launch.id} />}
      {launch.status === "CANCELLING" && <Notice>{t("launch.cancelling")}</Notice>}
    </section>
  );
}

/** When the game is expected to be playable, counting down. */
function Expected({ launch }: { launch: Launch }) {
  const now = useNow();
  const elapsed = (now - Date.parse(launch.requestedAt)) / 1000;
  const left = launch.estimatedReadyAt === null ? null : (Date.parse(launch.estimatedReadyAt) - now) / 1000;
  return (
    <p class="muted ticking">
      {t("launch.elapsed", { time: duration(elapsed) })}
      {left !== null && ` · ${left > 0 ? t("launch.left", { time: duration(left) }) : t("launch.soon")}`}
    </p>
  );
}

function Cancel({ id }: { id: string }) {
  const [asking, setAsking] = useState(false);
  const cancel = useMutation("CancelLaunch");
  return (
    <p class="actions start">
      <button type="button" class="danger" id="cancel-launch" onClick={() => setAsking(true)}>
        {t("launch.cancel")}
      </button>
      {asking && (
        <Confirm
          title={t("launch.cancel")}
          action={t("launch.cancelYes")}
          danger
          busy={cancel.busy}
          error={cancel.error}
          close={() => setAsking(false)}
          confirm={() => void cancel.run({ launchId: id }).then((done) => done && setAsking(false))}
        >
          <p>{t("launch.cancelWhat")}</p>
        </Confirm>
      )}
    </p>
  );
}

/** The attempts to rent a machine. The first one that works is not worth mentioning. */
function Attempts({ attempts }: { attempts: Launch["attempts"] }) {
  if (attempts.length < 2) return null;
  return (
    <section class="card" aria-labelledby="attempts-title">
      <h2 id="attempts-title">{t("launch.attempts")}</h2>
      <p class="muted">{t("launch.attemptsWhy")}</p>
      <ol class="attempts">
        {attempts.map((attempt, index) => (
          <li key={attempt.startedAt}>
            <strong>{t("launch.attempt", { number: index + 1 })}</strong>{" "}
            <span class="muted">
              {t(`provider.${attempt.provider}`)}, <time dateTime={attempt.startedAt}>{clock(attempt.startedAt)}</time>
            </span>
            <br />
            {attempt.outcome}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Log({ events }: { events: Event[] }) {
  return (
    <details class="card">
      <summary>{t("launch.log")}</summary>
      <ol class="log">
        {events.map((event) => (
          <li key={event.sequence} data-sequence={event.sequence}>
            <time dateTime={event.at}>{clock(event.at)}</time> {event.message}
          </li>
        ))}
      </ol>
    </details>
  );
}
