// Asks over HTTP/2 with Node's own client, several requests at once on one connection, and prints the answers as JSON.
//
// stdin: { origin, token, paths: [path…] }. stdout: [{ status, headers, body }…] in the order of the paths.

import { readFileSync } from 'node:fs';
import http2 from 'node:http2';

const { origin, token, paths } = JSON.parse(readFileSync(0, 'utf8'));
const session = http2.connect(origin);

function ask(path) {
  return new Promise((resolve, reject) => {
    const request = session.request({ ':path': path, accept: 'application/fhir+json', authorization: `Bearer ${token}` });
    let headers;
    let body = '';
    request.setEncoding('utf8');
    request.on('response', (received) => { headers = received; });
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => resolve({ status: headers[':status'], headers, body }));
    request.on('error', reject);
  });
}

const answers = await Promise.all(paths.map(ask));
session.close();
console.log(JSON.stringify(answers));
