// The FluentServer of @fluent-org/logger; each entry it got is a line of JSON in a file.
// Arguments: MODULE PORT LOG [SHARED_KEY [CERT KEY]]. Prints the port once it listens.
"use strict";
const fs = require("fs");
const [module_, port, log, sharedKey, cert, key] = process.argv.slice(2);
const { FluentServer } = require(module_);

class Server extends FluentServer {
  // It acknowledges before it handles. Held back for a turn, an acknowledgement means that the entries are in the file.
  handleConnection(socket) {
    const write = socket.write.bind(socket);
    const isMap = (data) => data[0] >> 4 === 8; // {"ack": ...}; the handshake's messages are arrays
    socket.write = (data) => (isMap(data) ? setImmediate(() => write(data)) : write(data));
    return super.handleConnection(socket);
  }
  onEntry(tag, time, record) {
    fs.appendFileSync(log, JSON.stringify({ tag, time: Number(time) || time.toString(), record }) + "\n");
  }
}

const options = { listenOptions: { port: Number(port), host: "127.0.0.1" } };
if (sharedKey) options.security = { serverHostname: "receiver", sharedKey };
if (cert) options.tlsOptions = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
const server = new Server(options);
server.listen().then(() => console.log(server.port));
