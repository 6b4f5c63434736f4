import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/graphiql.css';
import './explorer.css';

const TOKEN_KEY = 'rollcall.token';

const EXAMPLES = `# Rollcall's GraphQL API. Enter an API token above, then run an operation with Ctrl+Enter.

query Sources {
  viewer { name role }
  identitySources { nodes { id name type status departmentCount employeeCount latestSyncTask { id status } } }
}

mutation Start($source: ID!) {
  startSyncTask(input: { identitySourceId: $source }) {
    syncTask { id status }
    userErrors { code message field }
  }
}

subscription Watch($task: ID!) {
  syncTask(id: $task) {
    sequence
    task { status progress { phase percent employeesDone ratePerSecond } counters { objectType action planned applied } }
  }
}
`;

/** GraphiQL with a field for the token, which goes with requests and with subscriptions. */
function Explorer() {
  const [token, setToken] = useState(() => sessionStorage.getItem(TOKEN_KEY) ?? '');
  const fetcher = useMemo(() => {
    const path = document.body.dataset['graphql'] ?? '/graphql';
    const headers: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` };
    const subscriptionUrl = `${location.origin.replace(/^http/, 'ws')}${path}`;
    return createGraphiQLFetcher({ url: path, subscriptionUrl, headers, wsConnectionParams: headers });
  }, [token]);
  const change = (value: string) => {
    sessionStorage.setItem(TOKEN_KEY, value.trim());
    setToken(value.trim());
  };
  return (
    <div className="explorer">
      <header>
        <strong>Rollcall GraphQL explorer</strong>
        <label>
          API token{' '}
          <input type="password" autoComplete="off" value={token} onChange={(event) => change(event.target.value)} />
        </label>
        {token === '' && <span>Enter the administrator’s token: it was printed at the first start.</span>}
      </header>
      {token !== '' && (
        <GraphiQL
          key={token}
          fetcher={fetcher}
          defaultQuery={EXAMPLES}
          shouldPersistHeaders={false}
          isHeadersEditorEnabled={false}
        />
      )}
    </div>
  );
}

const root = document.getElementById('root');
if (root) createRoot(root).render(<Explorer />);
