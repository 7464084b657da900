import { useQuery } from "../../graphql/hooks";
import { day } from "../../format";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment, Money } from "../../ui/values";
import { nameOf } from "./chart";
import type { Period } from "./period";

/** Our meter beside the providers' bills, by day and provider. */
export function Comparison({ period }: { period: Period }) {
  const { data, error, reload } = useQuery("CostComparison", { start: period.start, end: period.end });
  const rows = data?.costComparison.rows.filter((row) => row.vmId === null).reverse();
  return (
    <section class="card stack" aria-labelledby="comparison-title">
      <div>
        <h2 id="comparison-title">{t("money.compare")}</h2>
        <p class="muted">
          {t("money.compareWhat")}{" "}
          {data?.costComparison.asOf && (
            <>
              {t("money.asOf")} <Moment at={data.costComparison.asOf} />.
            </>
          )}
        </p>
      </div>
      <ErrorMessage error={error} retry={reload} />
      {!rows && !error && <Skeleton rows={3} />}
      {rows?.length === 0 && <Empty>{t("money.nothing")}</Empty>}
      {rows && rows.length > 0 && (
        <div class="table-wrap tall" tabIndex={0} role="region" aria-labelledby="comparison-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("money.day")}</th>
                <th scope="col">{t("money.provider")}</th>
                <th scope="col" class="number">
                  {t("money.metered")}
                </th>
                <th scope="col" class="number">
                  {t("money.billed")}
                </th>
                <th scope="col" class="number">
                  {t("money.difference")}
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.day} ${row.provider}`}>
                  <td>{day(row.day)}</td>
                  <td>{nameOf(row.provider)}</td>
                  <td class="number">
                    <Money exact={row.metered} />
                  </td>
                  <td class="number">{row.billed === null ? "–" : <Money exact={row.billed} />}</td>
                  <td class="number">{row.difference === null ? "–" : <Money exact={row.difference} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
