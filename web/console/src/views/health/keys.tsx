import { useEffect, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import type { Role } from "../../graphql/generated";
import { useMutation } from "../../graphql/hooks";
import { t } from "../../strings";
import { Confirm } from "../../ui/dialog";
import { Empty, ErrorMessage, Notice, Skeleton } from "../../ui/messages";
import { Copyable, Moment } from "../../ui/values";

type Key = Data<"ApiKeys">["apiKeys"]["edges"][number]["node"];

const PAGE = 100;
const ROLES: readonly Role[] = ["SERVICE", "OPERATOR", "PLAYER"];

/** API keys: whose they are, a form for a new one, and their end. */
export function Keys() {
  const { keys, error, reload } = useKeys();
  const [revoking, setRevoking] = useState<Key>();
  return (
    <section class="card stack" aria-labelledby="keys-title">
      <h2 id="keys-title">{t("health.keys")}</h2>
      <ErrorMessage error={error} retry={reload} />
      {!keys && !error && <Skeleton rows={2} />}
      {keys?.length === 0 && <Empty>{t("health.noKeys")}</Empty>}
      {keys && keys.length > 0 && (
        <div class="table-wrap" tabIndex={0} role="region" aria-labelledby="keys-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t("health.name")}</th>
                <th scope="col">{t("health.role")}</th>
                <th scope="col">{t("health.used")}</th>
                <th scope="col">{t("health.expires")}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {keys.map((key) => (
                <tr key={key.id}>
                  <td>{key.name}</td>
                  <td>{t(`role.${key.role}`)}</td>
                  <td>{key.lastUsedAt ? <Moment at={key.lastUsedAt} /> : t("health.never")}</td>
                  <td>{key.expiresAt ? <Moment at={key.expiresAt} /> : t("health.never")}</td>
                  <td>
                    {key.revokedAt ? (
                      <span class="tag">{t("health.revoked")}</span>
                    ) : (
                      <button type="button" class="quiet" aria-label={`${t("health.revoke")} ${key.name}`} onClick={() => setRevoking(key)}>
                        {t("health.revoke")}
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <NewKey done={reload} />
      {revoking && <Revoke apiKey={revoking} done={reload} close={() => setRevoking(undefined)} />}
    </section>
  );
}

/** Loads all keys. What was loaded stays while they are loaded again. */
function useKeys() {
  const [state, setState] = useState<{ keys?: Key[]; error?: unknown }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    load(abort.signal).then(
      (keys) => !abort.signal.aborted && setState({ keys }),
      (error: unknown) => !abort.signal.aborted && setState((last) => ({ ...last, error })),
    );
    return () => abort.abort();
  }, [turn]);
  return { ...state, reload: () => setTurn((last) => last + 1) };
}

async function load(signal: AbortSignal): Promise<Key[]> {
  let keys: Key[] = [];
  let after: string | null = null;
  do {
    const { apiKeys: page }: Data<"ApiKeys"> = await request("ApiKeys", { first: PAGE, after }, signal);
    keys = [...keys, ...page.edges.map((edge) => edge.node)];
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after !== null);
  return keys;
}

function NewKey({ done }: { done: () => void }) {
  const mutation = useMutation("CreateApiKey");
  const [secret, setSecret] = useState<string | null>();
  const create = async (form: HTMLFormElement) => {
    const fields = new FormData(form);
    const expires = String(fields.get("expires"));
    const created = await mutation.run({
      input: {
        name: String(fields.get("name")).trim(),
        role: ROLES.find((role) => role === fields.get("role")) ?? "SERVICE",
        expiresAt: expires ? new Date(expires).toISOString() : null,
      },
    });
    if (!created) return;
    setSecret(created.secret);
    form.reset();
    done();
  };
  return (
    <>
      {secret && (
        <Notice tone="good">
          {t("health.secret")} <Copyable text={secret} />
        </Notice>
      )}
      <details>
        <summary>{t("health.newKey")}</summary>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void create(event.currentTarget);
          }}
        >
          <label class="field">
            {t("health.name")}
            <input name="name" required />
          </label>
          <label class="field">
            {t("health.role")}
            <select name="role">
              {ROLES.map((role) => (
                <option key={role} value={role}>
                  {t(`role.${role}`)}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            {t("health.expires")}
            <input name="expires" type="datetime-local" />
          </label>
          <ErrorMessage error={mutation.error} />
          <p class="actions">
            <button type="submit" class="primary" disabled={mutation.busy}>
              {t("health.create")}
            </button>
          </p>
        </form>
      </details>
    </>
  );
}

function Revoke({ apiKey, done, close }: { apiKey: Key; done: () => void; close: () => void }) {
  const mutation = useMutation("RevokeApiKey");
  const revoke = async () => {
    if (!(await mutation.run({ apiKeyId: apiKey.id }))) return;
    done();
    close();
  };
  return (
    <Confirm
      title={`${t("health.revoke")}: ${apiKey.name}`}
      action={t("health.revoke")}
      danger
      busy={mutation.busy}
      error={mutation.error}
      close={close}
      confirm={() => void revoke()}
    >
      <p>{t("health.revokeWhat")}</p>
    </Confirm>
  );
}
