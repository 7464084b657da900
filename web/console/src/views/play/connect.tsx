import { useEffect, useState } from "preact/hooks";
import type { Data } from "../../graphql/client";
import { useMutation, useQuery } from "../../graphql/hooks";
import { duration } from "../../format";
import { t } from "../../strings";
import { ErrorMessage, Notice } from "../../ui/messages";
import { Copyable, useNow } from "../../ui/values";
import type { Machine } from "./machine";

type Stream = NonNullable<Machine["stream"]>;
type Window = NonNullable<Data<"Pairing">["pairing"]>;

const MOONLIGHT = "https://moonlight-stream.org/";
const DEFAULT_PORT = 47989;
const POLL_S = 2;

/** How a player connects: the address for Moonlight, and pairing in either direction. */
export function Connect({ vmId, stream }: { vmId: string; stream: Stream }) {
  return (
    <section class="card stack" aria-labelledby="connect-title">
      <h2 id="connect-title">{t("connect.title")}</h2>
      <ol class="connecting">
        <li>
          <p>
            {t("connect.install")}{" "}
            <a href={MOONLIGHT} target="_blank" rel="noreferrer">
              moonlight-stream.org
            </a>
          </p>
        </li>
        <li>
          <p>{t("connect.add")}</p>
          <p class="address">
            <Copyable text={addressOf(stream)} />
          </p>
          <details>
            <summary>{t("connect.ports")}</summary>
            <dl class="facts">
              <dt>HTTP</dt>
              <dd class="number">{stream.httpPort}</dd>
              <dt>HTTPS</dt>
              <dd class="number">{stream.httpsPort}</dd>
              <dt>RTSP</dt>
              <dd class="number">{stream.rtspPort}</dd>
            </dl>
          </details>
        </li>
        <li>
          <p>{t("connect.pair")}</p>
          {stream.paired && <Notice tone="good">{t("connect.paired")}</Notice>}
          <div class="pairing">
            <TypedPin vmId={vmId} />
            <GivenPin vmId={vmId} />
          </div>
        </li>
      </ol>
    </section>
  );
}

/** Returns what Moonlight takes as a computer's address: with a port only where it is not the usual one. */
function addressOf(stream: Stream): string {
  const host = stream.host.includes(":") ? `[${stream.host}]` : stream.host;
  return stream.httpPort === DEFAULT_PORT ? stream.host : `${host}:${stream.httpPort}`;
}

/** Moonlight shows a PIN, and the player types it here. */
function TypedPin({ vmId }: { vmId: string }) {
  const [pin, setPin] = useState("");
  const [paired, setPaired] = useState(false);
  const pair = useMutation("PairClient");
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void pair.run({ vmId, pin }).then((done) => setPaired(Boolean(done)));
      }}
    >
      <h3>{t("connect.theirPin")}</h3>
      <p class="muted">{t("connect.theirPinHow")}</p>
      <label class="field">
        {t("connect.pin")}
        <input
          inputMode="numeric"
          autoComplete="off"
          pattern="[0-9]{4}"
          maxLength={4}
          required
          class="pin-field"
          value={pin}
          onInput={(event) => {
            setPin(event.currentTarget.value.replace(/\D/g, ""));
            setPaired(false);
          }}
        />
      </label>
      <ErrorMessage error={pair.error} />
      {paired && <Notice tone="good">{t("connect.pairedNow")}</Notice>}
      <button type="submit" disabled={pair.busy}>
        {t("connect.pairButton")}
      </button>
    </form>
  );
}

/** The service makes a PIN, and the player types it into Moonlight, scans it, or opens a link. */
function GivenPin({ vmId }: { vmId: string }) {
  const start = useMutation("StartPairing");
  const [started, setStarted] = useState<Window>();
  const open = started !== undefined && isOpen(started);
  const followed = useQuery("Pairing", open ? { vmId } : null, { everySeconds: POLL_S });
  useEffect(() => {
    if (followed.data?.pairing) setStarted(followed.data.pairing);
  }, [followed.data]);
  return (
    <div class="stack">
      <h3>{t("connect.ourPin")}</h3>
      <p class="muted">{t("connect.ourPinHow")}</p>
      <ErrorMessage error={start.error} />
      {started && <PairingWindow window={started} />}
      <button
        type="button"
        disabled={start.busy}
        onClick={() => void start.run({ vmId }).then((done) => done?.pairing && setStarted(done.pairing))}
      >
        {open ? t("connect.anotherPin") : t("connect.makePin")}
      </button>
    </div>
  );
}

function isOpen(window: Window): boolean {
  return window.status === "WAITING" || window.status === "WRONG_PIN";
}

function PairingWindow({ window: { status, pin, qrSvg, qrText, expiresAt } }: { window: Window }) {
  const now = useNow();
  const left = (Date.parse(expiresAt) - now) / 1000;
  return (
    <div class="stack">
      {status !== "WAITING" && (
        <Notice tone={status === "PAIRED" ? "good" : "warn"}>{t(`pairingStatus.${status}`)}</Notice>
      )}
      {pin && (
        <div class="row">
          {qrSvg && (
            <img
              class="qr"
              alt={t("connect.qr")}
              width="160"
              height="160"
              src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(qrSvg)}`}
            />
          )}
          <div>
            <p class="pin">{pin}</p>
            <p class="muted ticking">{left > 0 && t("connect.valid", { time: duration(left) })}</p>
            {qrText && (
              <p>
                <a href={qrText}>{t("connect.link")}</a>
              </p>
            )}
          </div>
        </div>
      )}
    </div>
  );
}
