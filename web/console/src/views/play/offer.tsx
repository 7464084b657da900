import { useMemo, useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import type { LaunchGameInput, ProviderName } from "../../graphql/generated";
import { useMutation, useQuery } from "../../graphql/hooks";
import { duration, kilometres, milliseconds } from "../../format";
import { go, href } from "../../router";
import { t, tn } from "../../strings";
import { Empty, ErrorMessage, Notice, Skeleton } from "../../ui/messages";
import { Money } from "../../ui/values";
import type { Console } from "./chooser";
import { Place } from "./place";
import { usePosition } from "./position";
import { useMeasuredRoundTrips } from "./round-trips";
import type { Machine } from "./sessions";
import { placeOf, titleOf } from "./words";

const EVENING_HOURS = 3;
const REFRESH_S = 30;
const AT_FIRST = 4;
const DEFAULT_SAVE = "main";
type Placement = Data<"Placements">["placements"][number];

/** Shows where the game would run, what it would cost and how long it would take, and launches it. */
export function Offer(props: {
  console: Console | undefined;
  gameId: string | null;
  saveId: string | null;
  machine: Machine | undefined;
}) {
  const { console: chosen, gameId } = props;
  const [position, choosePosition] = usePosition();
  const [provider, setProvider] = useState<ProviderName | null>(null);
  const roundTrips = useMeasuredRoundTrips();
  const measuredRtt = roundTrips?.length ? roundTrips : null;
  const wanted = chosen ? { console: chosen.type, from: position ?? null, provider } : null;
  const placements = useQuery("Placements", wanted && { ...wanted, measuredRtt, limit: 10 }, { everySeconds: REFRESH_S });
  const estimate = useQuery("CostEstimate", wanted && { ...wanted, hours: EVENING_HOURS }, { everySeconds: REFRESH_S });
  return (
    <>
      <Place position={position} choose={choosePosition} placements={placements.data?.placements ?? []} />
      {chosen && (
        <section aria-labelledby="offer-title" class="card stack offer">
          <h2 id="offer-title">{t("offer.title")}</h2>
          <Clouds console={chosen} provider={provider} choose={setProvider} />
          {props.machine && <Notice tone="good">{t("offer.machine", { place: placeOf(props.machine.location) })}</Notice>}
          <Evening estimate={estimate.data?.costEstimate} error={estimate.error} />
          <Launching
            key={`${chosen.type} ${gameId}`}
            console={chosen}
            gameId={gameId}
            saveId={props.saveId}
            order={{ console: chosen.type, location: position ?? null, provider, measuredRtt }}
          />
        </section>
      )}
      {chosen && (
        <section aria-labelledby="places-title" class="card stack places">
          <h2 id="places-title">{t("offer.placements")}</h2>
          <ErrorMessage error={placements.error} retry={placements.reload} />
          {placements.data ? (
            <PlacementList placements={placements.data.placements} />
          ) : (
            !placements.error && <Skeleton rows={3} height="6rem" />
          )}
        </section>
      )}
    </>
  );
}

function Clouds(props: { console: Console; provider: ProviderName | null; choose: (one: ProviderName | null) => void }) {
  const enabled = props.console.providers.filter((each) => each.enabled);
  if (enabled.length < 2) return null;
  return (
    <label class="field">
      {t("offer.cloud")}
      <select
        value={props.provider ?? ""}
        onChange={(event) => props.choose((event.currentTarget.value || null) as ProviderName | null)}
      >
        <option value="">{t("offer.anyCloud")}</option>
        {enabled.map(({ provider }) => (
          <option key={provider} value={provider}>
            {t(`provider.${provider}`)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What an evening costs. It keeps its room while it is loaded. */
function Evening({ estimate, error }: { estimate: Data<"CostEstimate">["costEstimate"] | undefined; error: unknown }) {
  if (error && !estimate) return <ErrorMessage error={error} />;
  return (
    <div class="evening">
      {estimate ? (
        <>
          <p class="evening-price">
            <Money exact={estimate.total} currency={estimate.currency} />
            <span class="muted">{t("offer.evening", { hours: EVENING_HOURS })}</span>
          </p>
          <p class="muted">
            <Money exact={estimate.hourlyPrice} currency={estimate.currency} /> {t("offer.perHour")}
            {estimate.placement && ` · ${placeOf(estimate.placement.site.location)}`}
            {estimate.playableIn && ` · ${waiting(estimate.playableIn)}`}
          </p>
        </>
      ) : (
        <Skeleton rows={1} height="3.8rem" />
      )}
    </div>
  );
}

function PlacementList({ placements }: { placements: Placement[] }) {
  const [all, setAll] = useState(false);
  if (placements.length === 0) return <Empty>{t("offer.none")}</Empty>;
  const shown = all ? placements : placements.slice(0, AT_FIRST);
  return (
    <>
      <ol class="placements">
        {shown.map((each) => (
          <PlacementItem key={each.site.id} placement={each} />
        ))}
      </ol>
      {placements.length > shown.length && (
        <button type="button" onClick={() => setAll(true)}>
          {tn("offer.more", placements.length - shown.length)}
        </button>
      )}
    </>
  );
}

function PlacementItem({ placement }: { placement: Placement }) {
  const { distanceKm, playableIn } = placement;
  return (
    <li>
      <div class="row apart">
        <strong>
          <span class="rank">{placement.rank}</span> {placeOf(placement.site.location)}
        </strong>
        <span>
          <Money exact={placement.hourlyPrice} /> {t("offer.perHour")}
        </span>
      </div>
      <p class="muted">
        {[
          t(`provider.${placement.provider}`),
          distanceKm !== null && kilometres(distanceKm),
          roundTripOf(placement),
          playableIn && waiting(playableIn),
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      <details>
        <summary>{t("offer.reasons")}</summary>
        <ul class="reasons">
          {placement.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
          {playableIn && (
            <li>
              {promise(playableIn)} {basisOf(playableIn)}
            </li>
          )}
        </ul>
      </details>
    </li>
  );
}

function roundTripOf({ measuredRttMs, estimatedRttMs }: Placement): string | null {
  if (measuredRttMs !== null) return t("offer.measuredRtt", { time: milliseconds(measuredRttMs) });
  return estimatedRttMs === null ? null : t("offer.rtt", { time: milliseconds(estimatedRttMs) });
}

function waiting(playable: { p50Seconds: number; p90Seconds: number }): string {
  return t("offer.playableIn", { half: duration(playable.p50Seconds), most: duration(playable.p90Seconds) });
}

function promise(playable: { p50Seconds: number; p90Seconds: number }): string {
  return t("offer.promise", { half: duration(playable.p50Seconds), most: duration(playable.p90Seconds) });
}

function basisOf(playable: NonNullable<Placement["playableIn"]>): string {
  if (playable.basis === "PUBLIC_FIGURES") return t("offer.basis.PUBLIC_FIGURES");
  return tn(`offer.basis.${playable.basis}`, playable.samples);
}

/** The save to go on with, and the button. */
function Launching(props: {
  console: Console;
  gameId: string | null;
  saveId: string | null;
  order: Pick<LaunchGameInput, "console" | "location" | "provider" | "measuredRtt">;
}) {
  const { gameId } = props;
  const [chosenSave, chooseSave] = useState(props.saveId ?? "");
  const launch = useMutation("LaunchGame");
  const input = { ...props.order, gameId: gameId ?? "", saveId: chosenSave || null };
  // The same order, sent twice because an answer was lost, has the same key and is one launch.
  const idempotencyKey = useMemo(randomKey, [JSON.stringify(input)]);
  const play = async () => {
    const payload = await launch.run({ input: { ...input, idempotencyKey } });
    if (payload?.launch) go(["play", "launch", payload.launch.id]);
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void play();
      }}
    >
      {gameId && <SaveChoice console={props.console} gameId={gameId} chosen={chosenSave} choose={chooseSave} />}
      <ErrorMessage error={launch.error} />
      <button type="submit" class="primary launch-button" disabled={!gameId || launch.busy}>
        {launch.busy ? t("offer.launching") : gameId ? t("offer.launch", { game: titleOf(gameId) ?? "" }) : t("offer.chooseGame")}
      </button>
    </form>
  );
}

function SaveChoice(props: { console: Console; gameId: string; chosen: string; choose: (saveId: string) => void }) {
  const { data } = useQuery("Saves", { console: props.console.type, gameId: props.gameId, first: 1 });
  const slots = data?.saves ?? [];
  const conflict = slots.find((slot) => slot.conflict !== null);
  if (slots.length === 0) return null;
  return (
    <>
      <label class="field">
        {t("offer.save")}
        <select value={props.chosen} onChange={(event) => props.choose(event.currentTarget.value)}>
          <option value="">{t("offer.defaultSave")}</option>
          {slots.filter((slot) => slot.saveId !== DEFAULT_SAVE).map((slot) => (
            <option key={slot.id} value={slot.saveId}>
              {slot.saveId}
            </option>
          ))}
        </select>
      </label>
      {conflict && (
        <Notice tone="warn">
          {t("offer.conflict", { save: conflict.saveId })}{" "}
          <a href={href(["saves"], { console: props.console.type, game: props.gameId })}>{t("offer.toSaves")}</a>
        </Notice>
      )}
    </>
  );
}

/** Returns a key that no other order has. `crypto.randomUUID` is missing on pages without TLS. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
