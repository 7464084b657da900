import { useQuery } from "../../graphql/hooks";
import { duration, percent, whole } from "../../format";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";

/** How long launches took, and how many promises were kept. */
export function LaunchTimes() {
  const { data, error, reload } = useQuery("LaunchTimes", {});
  const rows = data?.launchTimes;
  return (
    <section class="card stack" aria-labelledby="times-title">
      <div>
        <h2 id="times-title">{t("health.times")}</h2>
        <p class="muted">{t("health.timesWhat")}</p>
      </div>
      <ErrorMessage error={error} retry={reload} />
      {!rows && !error && <Skeleton rows={2} />}
      {rows?.length === 0 && <Empty>{t("health.noTimes")}</Empty>}
      {rows && rows.length > 0 && (
        <div class="table-wrap" tabIndex={0} role="region" aria-labelledby="times-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("health.month")}</th>
                <th scope="col">{t("health.place")}</th>
                <th scope="col" class="number">{t("health.launches")}</th>
                <th scope="col" class="number">{t("health.median")}</th>
                <th scope="col" class="number">{t("health.p90")}</th>
                <th scope="col" class="number">{t("health.kept")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.month} ${row.provider} ${row.siteKey} ${row.warm}`}>
                  <td>{row.month}</td>
                  <td>
                    {t(`provider.${row.provider}`)} {row.siteKey} {row.warm && <span class="tag">{t("health.warm")}</span>}
                  </td>
                  <td class="number">{whole(row.launches)}</td>
                  <td class="number">{duration(row.medianSeconds)}</td>
                  <td class="number">{duration(row.p90Seconds)}</td>
                  <td class="number">{row.keptShare === null ? "–" : percent(row.keptShare)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
