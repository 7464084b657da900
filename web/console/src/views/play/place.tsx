import { useEffect, useMemo, useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { WorldMap, x, y, type Position } from "../../map/world-map";
import { t } from "../../strings";
import { askBrowser } from "./position";
import { placeOf } from "./words";

type Placement = Data<"Placements">["placements"][number];

interface Props {
  position: Position | undefined;
  choose: (position: Position | undefined) => void;
  placements: Placement[];
}

/** Chooses where the player is: by the browser, a city, a click on the map, or degrees. */
export function Place({ position, choose, placements }: Props) {
  return (
    <section aria-labelledby="place-title" class="card stack place">
      <div>
        <h2 id="place-title">{t("place.title")}</h2>
        <p class="muted">{t("place.why")}</p>
      </div>
      <div class="place-ways">
        <Browser choose={choose} />
        <Cities position={position} choose={choose} />
      </div>
      <WorldMap label={t("place.map")} onPick={choose}>
        {placements.map(({ rank, site }) => {
          const at = site.location.coordinates;
          return at && <circle key={rank} class={rank === 1 ? "site first" : "site"} cx={x(at.longitude)} cy={y(at.latitude)} r={rank === 1 ? 3.5 : 2.2} />;
        })}
        {position && <Pin position={position} />}
      </WorldMap>
      <p class="legend muted" aria-hidden="true">
        <span class="dot you" /> {t("place.you")} <span class="dot first" /> {t("place.first")} <span class="dot" />{" "}
        {t("place.others")}
      </p>
      <Degrees position={position} choose={choose} />
    </section>
  );
}

function Pin({ position }: { position: Position }) {
  return (
    <g class="pin" transform={`translate(${x(position.longitude)} ${y(position.latitude)})`}>
      <circle r="5" />
      <circle r="1.6" class="centre" />
    </g>
  );
}

function Browser({ choose }: Pick<Props, "choose">) {
  const [state, setState] = useState<"idle" | "asking" | "refused">("idle");
  const ask = async () => {
    setState("asking");
    try {
      choose(await askBrowser());
      setState("idle");
    } catch {
      setState("refused");
    }
  };
  return (
    <div>
      <button type="button" onClick={() => void ask()} disabled={state === "asking"}>
        {state === "asking" ? t("place.asking") : t("place.browser")}
      </button>
      {state === "refused" && (
        <p role="alert" class="message warn">
          {t("place.refused")}
        </p>
      )}
    </div>
  );
}

/** The cities that have machines, as places that a player may be near to. */
function Cities({ position, choose }: Omit<Props, "placements">) {
  const locations = useQuery("Locations", {});
  const regions = useQuery("Regions", {});
  const cities = useMemo(
    () => citiesOf([...(locations.data?.locations ?? []), ...(regions.data?.regions.map((one) => one.location) ?? [])]),
    [locations.data, regions.data],
  );
  const chosen = cities.findIndex(
    ({ at }) => position && at.latitude === position.latitude && at.longitude === position.longitude,
  );
  return (
    <label class="field">
      <span class="hidden">{t("place.city")}</span>
      <select
        value={String(chosen)}
        onChange={(event) => choose(cities[Number(event.currentTarget.value)]?.at)}
      >
        <option value="-1">{t("place.city")}</option>
        {cities.map(({ name }, index) => (
          <option key={name} value={String(index)}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function citiesOf(locations: { city: string | null; country: string | null; coordinates: Position | null }[]) {
  const found = new Map<string, { name: string; at: Position }>();
  for (const location of locations) {
    if (location.city === null || location.coordinates === null) continue;
    const name = placeOf(location);
    const { latitude, longitude } = location.coordinates;
    if (!found.has(name)) found.set(name, { name, at: { latitude, longitude } });
  }
  return [...found.values()].sort((one, other) => one.name.localeCompare(other.name));
}

/** Takes a position in degrees as soon as both are given. */
function Degrees({ position, choose }: Omit<Props, "placements">) {
  const [latitude, setLatitude] = useState("");
  const [longitude, setLongitude] = useState("");
  useEffect(() => {
    setLatitude(position ? String(position.latitude) : "");
    setLongitude(position ? String(position.longitude) : "");
  }, [position]);
  const take = () => {
    if (isWithin(latitude, 90) && isWithin(longitude, 180)) {
      choose({ latitude: Number(latitude), longitude: Number(longitude) });
    }
  };
  return (
    <div class="row degrees">
      <Degree label={t("place.latitude")} limit={90} typed={latitude} type={setLatitude} take={take} />
      <Degree label={t("place.longitude")} limit={180} typed={longitude} type={setLongitude} take={take} />
      <button type="button" class="quiet" disabled={!position} onClick={() => choose(undefined)}>
        {t("place.clear")}
      </button>
    </div>
  );
}

function Degree(props: {
  label: string;
  limit: number;
  typed: string;
  type: (text: string) => void;
  take: () => void;
}) {
  return (
    <label class="field">
      {props.label}
      <input
        inputMode="decimal"
        value={props.typed}
        aria-invalid={props.typed.trim() !== "" && !isWithin(props.typed, props.limit)}
        onInput={(event) => props.type(event.currentTarget.value)}
        onChange={props.take}
      />
    </label>
  );
}

function isWithin(typed: string, limit: number): boolean {
  return typed.trim() !== "" && Math.abs(Number(typed)) <= limit;
}
