// Answers requests with the npm packages: one JSON object a line, in and out.
//
// Each names what to do and by which package. What the package refuses is told as
// {"refused": code}; anything else that goes wrong as {"broken": stack}.

import { createInterface } from 'node:readline'

import { blake2b } from '@noble/hashes/blake2.js'
import * as paseto from 'paseto'
import * as v3local from 'paseto/v3/local'
import * as v3public from 'paseto/v3/public'
import * as v4public from 'paseto/v4/public'
import { PasetoError as TsError } from 'paseto-ts/lib/errors'
import * as ts from 'paseto-ts/v4'

const encode = (text) => new TextEncoder().encode(text)
const decode = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)
const kindOf = (paserk) => paserk.split('.').slice(0, 2).join('.')

// PASERK, "Operations/ID": the package leaves BLAKE2b to whoever composes it.
function blakeId(kind) {
  return async (paserk) => {
    const hash = blake2b(encode(`k4.${kind}.${paserk}`), { dkLen: 33 })
    return `k4.${kind}.${Buffer.from(hash).toString('base64url')}`
  }
}

const v3l = new paseto.LocalProtocol(...factories(v3local))
const v3p = new paseto.PublicProtocol(...factories(v3public))
const v4p = new paseto.PublicProtocol(
  ...factories(v4public),
  paseto.PublicKeyID({ version: 4, run: blakeId('pid') }),
  paseto.SecretKeyID({ version: 4, run: blakeId('sid') }),
)
const v4l = new paseto.LocalProtocol(
  paseto.LocalKeyID({ version: 4, run: blakeId('lid') }),
)

function factories(module) {
  const names = Object.keys(module).filter((name) => name.endsWith('Factory'))
  return names.map((name) => module[name])
}

const publics = { 'k3.public': v3p, 'k4.public': v4p, 'k3.secret': v3p, 'k4.secret': v4p }

async function importKey(paserk) {
  const kind = kindOf(paserk)
  if (kind === 'k3.local') return v3l.ImportKey(paserk, { extractable: true })
  if (kind.endsWith('.public')) return publics[kind].ImportPublicKey(paserk)
  return publics[kind].ImportSecretKey(paserk, { extractable: true })
}

const web = {
  async open({ key, token, assertion, now }) {
    const options = { implicitAssertion: encode(assertion), now: now ? new Date(now) : undefined }
    const opener = kindOf(key) === 'k3.local' ? 'Decrypt' : 'Verify'
    const protocol = kindOf(key) === 'k3.local' ? v3l : publics[kindOf(key)]
    const found = await protocol[opener](await importKey(key), token, options)
    return { claims: found.claims, footer: decode(found.footer) }
  },

  async seal({ key, claims, footer, assertion }) {
    const options = { footer: encode(footer), implicitAssertion: encode(assertion) }
    const sealer = kindOf(key) === 'k3.local' ? 'Encrypt' : 'Sign'
    const protocol = kindOf(key) === 'k3.local' ? v3l : publics[kindOf(key)]
    return protocol[sealer](await importKey(key), claims, options)
  },

  async generate({ kind }) {
    if (kind === 'v3.local') {
      return [await v3l.ExportKey(await v3l.GenerateKey({ extractable: true }))]
    }
    const protocol = { 'v3.public': v3p, 'v4.public': v4p }[kind]
    const pair = await protocol.GenerateKeyPair({ extractable: true })
    return [
      await protocol.ExportSecretKey(pair.secretKey),
      await protocol.ExportPublicKey(pair.publicKey),
    ]
  },

  async id({ key }) {
    const kind = kindOf(key)
    if (kind.endsWith('.local')) return (kind === 'k3.local' ? v3l : v4l).KeyID(key)
    const operation = kind.endsWith('.public') ? 'PublicKeyID' : 'SecretKeyID'
    return publics[kind][operation](key)
  },

  async wrap({ key, password }) {
    const local = kindOf(key) === 'k3.local'
    const wrapper = local ? 'WrapKeyWithPassword' : 'WrapSecretKeyWithPassword'
    const found = await importKey(key)
    return (local ? v3l : v3p)[wrapper](found, encode(password))
  },

  async unwrap({ key, password }) {
    const options = { extractable: true }
    if (kindOf(key) === 'k3.local-pw') {
      const found = await v3l.UnwrapKeyWithPassword(key, encode(password), options)
      return v3l.ExportKey(found)
    }
    const found = await v3p.UnwrapSecretKeyWithPassword(key, encode(password), options)
    return v3p.ExportSecretKey(found)
  },
}

const typescript = {
  open({ key, token, assertion, now }) {
    const opener = kindOf(key) === 'k4.local' ? ts.decrypt : ts.verify
    // It knows no other time than the present; the vectors are of the past.
    const found = opener(key, token, { assertion, validatePayload: !now })
    const footer = found.footer
    return {
      claims: found.payload,
      footer: typeof footer === 'string' ? footer : JSON.stringify(footer),
    }
  },

  seal({ key, claims, footer, assertion }) {
    const sealer = kindOf(key) === 'k4.local' ? ts.encrypt : ts.sign
    const options = { footer, assertion }
    // It issues what is not valid yet when told to check nothing and to add nothing.
    const unchecked = { validatePayload: false, addIat: false, addExp: false }
    return sealer(key, claims, 'nbf' in claims ? { ...options, ...unchecked } : options)
  },

  generate({ kind }) {
    if (kind === 'v4.local') return [ts.generateKeys('local')]
    const pair = ts.generateKeys('public')
    return [pair.secretKey, pair.publicKey]
  },
}

const peers = { paseto: web, 'paseto-ts': typescript }

async function answer(request) {
  try {
    return { answer: await peers[request.peer][request.do](request) }
  } catch (error) {
    if (error instanceof paseto.PasetoError || error instanceof TsError) {
      return { refused: error.code }
    }
    return { broken: error.stack }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))))
}
