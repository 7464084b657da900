import { useEffect, useMemo } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { kilometres } from "../../format";
import { WorldMap, x, y, type Position } from "../../map/world-map";
import { replaceQuery } from "../../router";
import { t, tn } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Money } from "../../ui/values";
import type { ViewProps } from "../../views";
import { LIVE, useMachines, type Machine } from "../machines/store";
import { placeOf, titleOf } from "../play/words";
import "./map.css";

type Candidate = Data<"Placements">["placements"][number];
type Launch = Data<"LaunchesOnMap">["launches"]["edges"][number]["node"];

interface Site {
  key: string;
  name: string;
  provider: "TENSORDOCK" | "CLOUDYPAD";
  at: Position | null;
  free: number;
  machines: number;
}

/** Where machines can be rented, where they are, and where a launch would go. */
export default function MapView({ route }: ViewProps) {
  const providers = useQuery("Providers", {});
  const uses = (name: string) => providers.data?.providers.some((one) => one.name === name && one.configured);
  const locations = useQuery("Locations", uses("TENSORDOCK") ? {} : null, { everySeconds: 30 });
  const regions = useQuery("Regions", uses("CLOUDYPAD") ? {} : null, { everySeconds: 300 });
  const launches = useQuery("LaunchesOnMap", {}, { everySeconds: 10 });
  const { machines, error, more, done } = useMachines(LIVE, null);
  useEffect(() => {
    if (!done) more();
  }, [done, more, machines]);
  const open = launches.data?.launches.edges.map((edge) => edge.node) ?? [];
  const launch = open.find((each) => each.id === route.query.get("launch"));
  const candidates = useCandidates(launch);
  const sites = useMemo(
    () => sitesOf(locations.data?.locations ?? [], regions.data?.regions ?? [], machines),
    [locations.data, regions.data, machines],
  );
  return (
    <>
      <h1>{t("map.title")}</h1>
      <div class="stack">
        <p class="muted">{t("map.what")}</p>
        <ErrorMessage error={providers.error ?? locations.error ?? regions.error ?? launches.error ?? error} retry={locations.reload} />
        <section class="card stack">
          <WorldMap label={t("map.label", { sites: sites.length, machines: machines.length })}>
            {sites.map((site) => site.at && <Dot key={site.key} site={site} at={site.at} />)}
            {machines.map((machine) => {
              const at = machine.location.coordinates;
              return at && <rect key={machine.id} class="machine" x={x(at.longitude) - 0.9} y={y(at.latitude) - 0.9} width="1.8" height="1.8" />;
            })}
            {candidates?.map(({ rank, site }) => {
              const at = site.location.coordinates;
              return at && <circle key={rank} class="candidate" cx={x(at.longitude)} cy={y(at.latitude)} r={rank === 1 ? 7 : 5} />;
            })}
          </WorldMap>
          <ul class="row map-legend" aria-hidden="true">
            <li><span class="swatch tensordock" /> {t("map.tensordock")}</li>
            <li><span class="swatch google" /> {t("map.google")}</li>
            <li><span class="swatch machine" /> {t("map.machines")}</li>
            {launch && <li><span class="swatch candidate" /> {t("map.candidates")}</li>}
          </ul>
        </section>
        <section class="card stack">
          <label class="field">
            {t("map.launch")}
            <select value={launch?.id ?? ""} onChange={(event) => replaceQuery({ launch: event.currentTarget.value })}>
              <option value="">{t("map.noLaunch")}</option>
              {open.map((each) => (
                <option key={each.id} value={each.id}>
                  {t("map.launchWhat", {
                    game: titleOf(each.gameId) ?? each.console.type,
                    user: each.userId,
                    status: t(`launchStatus.${each.status}`),
                  })}
                </option>
              ))}
            </select>
          </label>
          {launch && <LaunchPlaces launch={launch} candidates={candidates} />}
        </section>
        {locations.data || regions.data ? <Sites sites={sites} /> : <Skeleton rows={6} />}
      </div>
    </>
  );
}

/** Where the launch would go now. Its position is not shown to anyone, so the order is that of the price alone. */
function useCandidates(launch: Launch | undefined): Candidate[] | undefined {
  const variables = launch ? { console: launch.console.type, limit: 5 } : null;
  return useQuery("Placements", variables).data?.placements;
}

function LaunchPlaces({ launch, candidates }: { launch: Launch; candidates: Candidate[] | undefined }) {
  return (
    <div class="map-launch">
      <div>
        <h2>{t("map.attempts")}</h2>
        <ol class="listed">
          {launch.attempts.map((attempt) => (
            <li key={attempt.startedAt}>
              {t(`provider.${attempt.provider}`)}: {attempt.outcome}
            </li>
          ))}
        </ol>
      </div>
      <div>
        <h2>{t("map.candidatesWhat")}</h2>
        {candidates?.length === 0 && <Empty>{t("map.noCandidates")}</Empty>}
        <ol class="listed">
          {candidates?.map(({ rank, site, provider, hourlyPrice, distanceKm }) => (
            <li key={rank}>
              {placeOf(site.location)} ({t(`provider.${provider}`)}), <Money exact={hourlyPrice} />
              {distanceKm !== null && `, ${kilometres(distanceKm)}`}
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}

function Dot({ site, at }: { site: Site; at: Position }) {
  const { provider, free } = site;
  return (
    <circle class={`place ${provider.toLowerCase()} ${free ? "" : "full"}`} cx={x(at.longitude)} cy={y(at.latitude)} r={1.2 + Math.sqrt(free) * 0.9}>
      <title>{t("map.siteTitle", { place: site.name, free: freeOf(site), machines: tn("machines.shown", site.machines) })}</title>
    </circle>
  );
}

function Sites({ sites }: { sites: Site[] }) {
  if (sites.length === 0) return <Empty>{t("map.noSites")}</Empty>;
  return (
    <div class="card table-wrap tall" tabIndex={0} role="region" aria-label={t("map.title")}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("map.place")}</th>
            <th scope="col">{t("machines.provider")}</th>
            <th scope="col" class="number">{t("map.free")}</th>
            <th scope="col" class="number">{t("map.here")}</th>
          </tr>
        </thead>
        <tbody>
          {sites.map((site) => (
            <tr key={site.key}>
              <td>{site.name}</td>
              <td>{t(`provider.${site.provider}`)}</td>
              <td class="number">{freeOf(site)}</td>
              <td class="number">{site.machines}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function freeOf(site: Site): string {
  return site.provider === "TENSORDOCK" ? tn("map.gpus", site.free) : tn("map.zones", site.free);
}

function sitesOf(
  locations: Data<"Locations">["locations"],
  regions: Data<"Regions">["regions"],
  machines: readonly Machine[],
): Site[] {
  const here = new Map<string, number>();
  for (const { provider, location } of machines) {
    const key = `${provider} ${placeOf(location)}`;
    here.set(key, (here.get(key) ?? 0) + 1);
  }
  const found = [
    ...locations.map((one) => ({ provider: "TENSORDOCK" as const, location: one, free: one.gpusAvailable })),
    ...regions.map((one) => ({ provider: "CLOUDYPAD" as const, location: one.location, free: one.gpuModels.length ? one.zones.length : 0 })),
  ];
  return found
    .map(({ provider, location, free }) => {
      const name = placeOf(location);
      const key = `${provider} ${name}`;
      return { key, name, provider, at: location.coordinates, free, machines: here.get(key) ?? 0 };
    })
    .sort((one, other) => other.machines - one.machines || other.free - one.free || one.name.localeCompare(other.name));
}
