import { createClient, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { createClient as createSocket } from 'graphql-ws';
import { WebSocket } from 'ws';
import { connectSource, startRollcall, startTask } from '../setup/rollcall';

it('urql queries over HTTP and subscribes over graphql-ws, as a console would', async () => {
  const rollcall = await startRollcall();
  const authorization = `Bearer ${rollcall.config.adminToken?.reveal()}`;
  const socket = createSocket({
    url: rollcall.url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
  });
  const client = createClient({
    url: rollcall.url,
    fetchOptions: { headers: { authorization } },
    preferGetMethod: false,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe({ query, variables: variables as Record<string, unknown> }, sink as never),
          }),
        }),
      }),
    ],
  });
  try {
    const source = await connectSource(rollcall);
    const { syncTask } = await startTask(rollcall.api, source);
    const statuses = await new Promise<string[]>((resolve, reject) => {
      const seen: string[] = [];
      const watch = gql`subscription ($id: ID!) { syncTask(id: $id) { sequence task { id status } } }`;
      client.subscription(watch, { id: syncTask?.id }).subscribe(({ data, error }) => {
        if (error) return reject(error);
        const status: string = data.syncTask.task.status;
        seen.push(status);
        if (status === 'SUCCEEDED') resolve(seen);
      });
    });
    expect(statuses.at(-1)).toBe('SUCCEEDED');
    const people = await client
      .query(gql`{ employees(first: 2) { nodes { id displayName } pageInfo { hasNextPage } } }`, {})
      .toPromise();
    expect(people.error).toBeUndefined();
    expect(people.data.employees).toMatchObject({ nodes: [{}, {}], pageInfo: { hasNextPage: true } });
    const wrong = await client.query(gql`{ employees(first: 9999) { nodes { id } } }`, {}).toPromise();
    expect(wrong.error?.graphQLErrors[0]?.extensions['code']).toBe('BAD_USER_INPUT');
  } finally {
    await socket.dispose();
    await rollcall.stop();
  }
});
