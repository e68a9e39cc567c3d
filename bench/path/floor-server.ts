/** The HTTP half of the floor: reads the same bytes, parses them once, answers with as many bytes. Nothing else. */
import uws from 'uWebSockets.js';
import { childArguments, serveParent, usage } from './child.js';

const { replyBytes } = childArguments<{ replyBytes: number }>();
const reply = 'x'.repeat(replyBytes);

const app = uws.App().post('/openrtb2/bid', (response) => {
  response.onAborted(() => {});
  let head: Buffer | undefined;
  response.onData((chunk, isLast) => {
    if (!isLast || head !== undefined) {
      const copy = Buffer.from(Buffer.from(chunk));
      head = head === undefined ? copy : Buffer.concat([head, copy]);
      if (!isLast) return;
    }
    const request = JSON.parse((head ?? Buffer.from(chunk)).toString('utf8'));
    response.cork(() => {
      response.writeStatus(request.id === undefined ? '400' : '200').writeHeader('content-type', 'application/json');
      response.end(reply);
    });
  });
});
app.listen('127.0.0.1', 0, (socket) => {
  if (!socket) throw new Error('the floor server cannot listen');
  serveParent({ port: uws.us_socket_local_port(socket) }, () => usage());
});
