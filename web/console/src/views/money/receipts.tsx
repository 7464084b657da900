import { useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { money } from "../../format";
import { t } from "../../strings";
import { Empty, ErrorMessage, Skeleton } from "../../ui/messages";
import { Moment, Money } from "../../ui/values";
import { downloadMonth, downloadRows } from "./csv";
import { nameOf } from "./chart";
import type { Period } from "./period";

type Receipt = Data<"Receipts">["receipts"]["receipts"][number];

const SHOWN = 50;

/** What each play session cost, and files for a spreadsheet. */
export function Receipts({ period }: { period: Period }) {
  const { data, error, reload } = useQuery("Receipts", { start: period.start, end: period.end });
  const [failure, setFailure] = useState<unknown>();
  const [shown, setShown] = useState(SHOWN);
  const receipts = data?.receipts.receipts;
  return (
    <section class="card stack" aria-labelledby="receipts-title">
      <div class="row apart">
        <div>
          <h2 id="receipts-title">{t("money.receipts")}</h2>
          <p class="muted">{t("money.receiptsWhat")}</p>
        </div>
        <p class="actions">
          <button type="button" onClick={() => void downloadMonth(period.month).then(() => setFailure(undefined), setFailure)}>
            {t("money.csvMonth")}
          </button>
          <button type="button" disabled={!receipts?.length} onClick={() => receipts && downloadRows(rowsOf(receipts), `receipts-${period.start}-${period.end}.csv`)}>
            {t("money.csvReceipts")}
          </button>
        </p>
      </div>
      <ErrorMessage error={error ?? failure} retry={error ? reload : undefined} />
      {!receipts && !error && <Skeleton rows={4} />}
      {receipts?.length === 0 && <Empty>{t("money.noReceipts")}</Empty>}
      {data && receipts && receipts.length > 0 && (
        <div class="table-wrap tall" tabIndex={0} role="region" aria-labelledby="receipts-title">
          <table class="receipts">
            <thead>
              <tr>
                <th scope="col">{t("money.from")}</th>
                <th scope="col">{t("money.until")}</th>
                <th scope="col">{t("money.player")}</th>
                <th scope="col">{t("money.what")}</th>
                <th scope="col" class="number">
                  {t("money.amount")}
                </th>
              </tr>
            </thead>
            <tbody>
              {receipts.slice(0, shown).map((receipt) => (
                <Row key={`${receipt.vmId} ${receipt.start}`} receipt={receipt} />
              ))}
            </tbody>
            <tfoot>
              <tr>
                <th scope="row" colSpan={4}>
                  {t("money.total")}
                </th>
                <td class="number" data-total={data.receipts.total}>
                  <strong>
                    <Money exact={data.receipts.total} />
                  </strong>
                </td>
              </tr>
            </tfoot>
          </table>
          {receipts.length > shown && (
            <button type="button" class="quiet" onClick={() => setShown(shown + 200)}>
              {t("money.more", { count: receipts.length - shown })}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Row({ receipt }: { receipt: Receipt }) {
  const what = t(receipt.played ? "money.played" : "money.kept", { console: receipt.console });
  return (
    <tr>
      <td>
        <Moment at={receipt.start} />
      </td>
      <td>{receipt.end ? <Moment at={receipt.end} /> : t("money.now")}</td>
      <td>{receipt.userId}</td>
      <td>
        {what} ({nameOf(receipt.provider)})
        <ul class="muted">
          {receipt.lines.map((line) => (
            <li key={line.start}>
              {t("money.lines", { price: money(line.hourlyPrice) })}: <Money exact={line.amount} />
            </li>
          ))}
        </ul>
      </td>
      <td class="number">
        <Money exact={receipt.amount} />
      </td>
    </tr>
  );
}

function rowsOf(receipts: Receipt[]): string[][] {
  const head = ["start", "end", "user", "vm", "provider", "console", "played", "amount", "currency"];
  const rows = receipts.map(({ start, end, userId, vmId, provider, console, played, amount }) => [
    ...[start, end ?? "", userId, vmId, provider, console],
    ...[String(played), amount, "USD"],
  ]);
  return [head, ...rows];
}
