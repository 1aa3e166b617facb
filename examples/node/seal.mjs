// Encrypt a command to a device's public key (JWE, ECDH-ES with A256GCM), with what Node has. Node 18 or newer.
import { createCipheriv, createHash, createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from "node:crypto";

const uint32 = (number) => Buffer.from([number >>> 24, number >>> 16, number >>> 8, number]);

// `jwk`: what `otpbroker feeder-key show --json` prints.
export function seal(command, jwk) {
  const { kty, crv, x, y } = jwk;
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x: ownX, y: ownY } = own.publicKey.export({ format: "jwk" });
  const header = { alg: "ECDH-ES", enc: "A256GCM", kid: jwk.kid, epk: { kty, crv, x: ownX, y: ownY } };
  const aad = Buffer.from(JSON.stringify(header)).toString("base64url");
  const publicKey = createPublicKey({ key: { kty, crv, x, y }, format: "jwk" });
  const shared = diffieHellman({ privateKey: own.privateKey, publicKey });
  const info = [uint32(7), Buffer.from("A256GCM"), uint32(0), uint32(0), uint32(256)]; // RFC 7518, section 4.6.2
  const key = createHash("sha256").update(Buffer.concat([uint32(1), shared, ...info])).digest();
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(aad));
  const box = Buffer.concat([cipher.update(JSON.stringify(command)), cipher.final()]);
  return [aad, "", ...[iv, box, cipher.getAuthTag()].map((octets) => octets.toString("base64url"))].join(".");
}
