// A token issuer: oidc-provider, with ES256 access tokens (RFC 9068), its keys at a URL, tokens that are bound to a client
// certificate (RFC 8705), and two doors for the checks alone: a change of keys, and a token with claims that no
// well-behaved issuer would sign.
//
// argv: one JSON object { key, certificate, ca, audience, otherAudience, clients: [{ id, secret | subject, groups }] }.
// Prints one JSON line with its issuer URL once it listens.

import { readFileSync } from 'node:fs';
import https from 'node:https';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const options = JSON.parse(process.argv[2]);
const groups = new Map(options.clients.map((client) => [client.id, client.groups]));
const keys = [];
let issuer;
let provider;

async function newKey() {
  const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const kid = `key-${keys.length + 1}`;
  keys.unshift({ ...(await jose.exportJWK(privateKey)), kid, alg: 'ES256', use: 'sig' });
  provider = new Provider(issuer, configuration()).callback();
  return kid;
}

function client({ id, secret, subject }) {
  const common = { client_id: id, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
  return subject
    ? { ...common, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: subject, tls_client_certificate_bound_access_tokens: true }
    : { ...common, token_endpoint_auth_method: 'client_secret_basic', client_secret: secret };
}

function configuration() {
  const certificate = (ctx) => ctx.req.socket.getPeerX509Certificate();
  return {
    clients: options.clients.map(client),
    clientAuthMethods: ['client_secret_basic', 'tls_client_auth'],
    clientDefaults: { id_token_signed_response_alg: 'ES256', grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
    scopes: ['system/*.rs', 'system/*.rus'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => certificate(ctx)?.toString(),
        certificateAuthorized: (ctx) => ctx.req.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_subject_dn' && certificate(ctx).subject === expected,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => options.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => {
          if (resource !== options.audience && resource !== options.otherAudience) throw new Error('unknown resource');
          return { scope: 'system/*.rs system/*.rus', audience: resource, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        },
      },
    },
    extraTokenClaims: (ctx, token) => ({ groups: groups.get(token.clientId) }),
    jwks: { keys },
  };
}

async function sign(claims) {
  const { kid, ...jwk } = keys[0];
  return new jose.SignJWT({ iss: issuer, ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid })
    .sign(await jose.importJWK(jwk, 'ES256'));
}

async function serve(request, response) {
  if (request.url === '/control/rotate') {
    response.end(await newKey());
  } else if (request.url === '/control/sign') {
    let body = '';
    for await (const chunk of request) body += chunk;
    response.end(await sign(JSON.parse(body)));
  } else {
    provider(request, response);
  }
}

const tls = { key: readFileSync(options.key), cert: readFileSync(options.certificate), ca: readFileSync(options.ca) };
const server = https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, serve);
server.listen(0, '127.0.0.1', async () => {
  issuer = `https://127.0.0.1:${server.address().port}`;
  await newKey();
  console.log(JSON.stringify({ issuer }));
});
