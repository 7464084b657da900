import "graphiql/setup-workers/vite";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { Kind, parse } from "graphql";
import { useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import "./style.css";

const ENDPOINT = new URL(window.location.pathname, window.location.href);
const SOCKET = new URL(ENDPOINT.href.replace(/^http/, "ws"));
const EXAMPLES = JSON.parse(document.getElementById("examples").textContent);

/** A JWT has two dots; whatever else somebody pastes is an API key. */
function credentialHeaders(credential) {
  if (credential === "") return {};
  const isJwt = credential.split(".").length === 3;
  return isJwt ? { Authorization: `Bearer ${credential}` } : { "X-API-Key": credential };
}

function fetcherWith(credential) {
  const headers = credentialHeaders(credential);
  const fetcher = createGraphiQLFetcher({
    url: ENDPOINT.href,
    subscriptionUrl: SOCKET.href,
    headers,
    wsConnectionParams: headers,
    enableIncrementalDelivery: false,
  });
  return followingLastLaunch(fetcher);
}

let lastLaunchId = "";

/** An empty `launchId` among the variables becomes the id of the launch that this page ordered last. */
function followingLastLaunch(fetcher) {
  return async (request, options) => {
    const variables = { ...request.variables };
    if (variables.launchId === "") variables.launchId = lastLaunchId;
    const documentAST = parsed(request.query);
    const operationName = operationIn(documentAST, request.operationName);
    const answer = await fetcher({ ...request, variables, operationName }, { ...options, documentAST });
    lastLaunchId = answer?.data?.launchGame?.launch?.id ?? lastLaunchId;
    return answer;
  };
}

function parsed(query) {
  try {
    return parse(query);
  } catch {
    return undefined; // the service says what is wrong with it
  }
}

/** GraphiQL learns a document's operations a moment after its text: who is quicker would ask for the last tab's. */
function operationIn(documentAST, chosen) {
  if (documentAST === undefined) return chosen;
  const operations = documentAST.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const names = operations.map(({ name }) => name?.value);
  return names.includes(chosen) ? chosen : names[0];
}

/** Held in this component's state alone: a reload forgets it. */
function CredentialForm({ onCredential }) {
  const [typed, setTyped] = useState("");
  const submit = (event) => {
    event.preventDefault();
    onCredential(typed.trim().replace(/^Bearer\s+/i, ""));
  };
  return (
    <form className="credential" onSubmit={submit}>
      <label htmlFor="credential">Token or API key</label>
      <input
        id="credential"
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="not needed in development; kept until you reload"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <button type="submit">Use</button>
    </form>
  );
}

function Explorer() {
  const [credential, setCredential] = useState("");
  const fetcher = useMemo(() => fetcherWith(credential), [credential]);
  return (
    <>
      <header className="bar">
        <strong>Gamer Provisioner</strong>
        <CredentialForm onCredential={setCredential} />
      </header>
      <main className="explorer">
        <GraphiQL fetcher={fetcher} defaultTabs={EXAMPLES} shouldPersistHeaders={false} showPersistHeadersSettings={false}>
          <GraphiQL.Logo> </GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

createRoot(document.getElementById("graphiql")).render(<Explorer />);
