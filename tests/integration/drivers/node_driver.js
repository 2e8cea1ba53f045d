const assert = require('node:assert')
const { pipeline } = require('node:stream/promises')
const { Readable } = require('node:stream')
const { Client } = require('pg')
const copy = require('pg-copy-streams')

async function main([host, port, table]) {
  const client = new Client({ host, port, database: 'audit', user: 'auditor', password: process.env.PGPASSWORD })
  await client.connect()
  for (let row = 1; row <= 20; ++row)
    await client.query({ name: 'put', text: `INSERT INTO ${table} VALUES ($1, $2)`, values: [row, `word ${row}`] })

  await client.query('BEGIN')
  await client.query(`INSERT INTO ${table} VALUES (100, 'no')`)
  await client.query('ROLLBACK')
  await client.query('BEGIN')
  for (const row of [101, 102]) await client.query(`INSERT INTO ${table} VALUES ($1, 'yes')`, [row])
  await client.query('COMMIT')

  const lines = Array.from({ length: 1000 }, (_, n) => `${n + 1001}\tcopied\n`)
  await pipeline(Readable.from(lines), client.query(copy.from(`COPY ${table} FROM STDIN`)))
  let out = ''
  for await (const piece of client.query(copy.to(`COPY ${table} TO STDOUT`))) out += piece
  assert.strictEqual(out.split('\n').length, 1023)

  const again = `INSERT INTO ${table} VALUES (1, 'again')`
  await assert.rejects(client.query(again), { code: '23505' })
  await client.query('BEGIN')
  await client.query(`INSERT INTO ${table} VALUES (103, 'no')`)
  await assert.rejects(client.query(again), { code: '23505' })
  await assert.rejects(client.query('SELECT 1'), { code: '25P02' })
  await client.query('ROLLBACK')
  const { rows } = await client.query(`SELECT count(*)::int AS seen FROM ${table}`)
  console.log(rows[0].seen)
  await client.end()
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
