// What operators do with the dashboard, one function each.
import assert from 'node:assert/strict';

const settled = (page) => page.waitForFunction(() => document.querySelector('.why .sentence')?.textContent.length > 5);

export const scenarios = {
    // The primary dies under the eyes of somebody who looks on from a standby.
    async failover(visit) {
        const {page, settings} = visit;
        await page.goto(settings.url);
        await visit.sees('.door form');
        await visit.picture('log-in-wide');
        await visit.logIn();
        await visit.sees(`[data-node="${settings.leader}"][data-role=leader]`);
        await visit.sees('.hero.ok', 'Fine');
        await settled(page);
        await visit.picture('whole-wide', true);
        await page.evaluate(() => {
            window.sentences = [];
            new MutationObserver(() => {
                const now = document.querySelector('.hero .verdict')?.textContent;
                if (now && now !== window.sentences.at(-1)) window.sentences.push(now);
            }).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
        });
        await visit.at('watching');
        const next = `[data-role=leader]:not([data-node="${settings.leader}"])`;
        await visit.sees(next);
        const leader = await page.locator(next).getAttribute('data-node');
        await visit.sees('.hero.degraded', `${leader} leads, but`);
        await visit.sees('.event .kind', 'revoke');
        await visit.sees('.event .text', `${leader} leads epoch`);
        await visit.sees('.why .sentence', `${leader} leads epoch`);
        await visit.sees('.phases', 'detect');
        await visit.sees(`[data-node="${settings.leader}"].bad .says`, 'silent for');
        const sentences = await page.evaluate(() => window.sentences);
        assert.ok(sentences.some((one) => one.includes('No primary') || one.includes('does not answer as the primary')), sentences.join(' / '));
        await visit.picture('failover-over-wide', true);
        // Somebody takes care: no more messages for the node that is down.
        const alert = `[data-alert="member_down:${settings.leader}"]`;
        await visit.sees(alert, undefined, 60);
        await page.click(`${alert} >> text=Silence…`);
        await page.fill('dialog input[name=why]', 'its disk is being replaced');
        await page.locator('dialog label', {hasText: 'a day'}).click();
        await visit.picture('silence-wide');
        await page.click('dialog button.act');
        await visit.sees(`${alert}.silenced .note`, 'its disk is being replaced');
        await page.locator('.alert', {hasText: 'has taken over'}).getByText('Acknowledge').click();
        await visit.sees('.alert.acknowledged', 'takes care');
        await visit.picture('alerts-wide');
        await visit.at('silenced', {leader});
        await visit.sees('.hero.ok', `Fine: ${leader} leads`, 90);
        await page.click(`.silences >> text=End`);
        await page.locator('.silences').waitFor({state: 'detached'});
    },

    // Somebody opens the page again and again, each time with an empty cache. For a figure.
    async loads(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees('.hero.ok', 'Fine', 60);
        const loads = [];
        for (let number = 0; number < settings.repeat; ++number) {
            const fresh = await page.context().newPage();
            const wire = await page.context().newCDPSession(fresh);
            let bytes = 0;
            await wire.send('Network.enable');
            await wire.send('Network.setCacheDisabled', {cacheDisabled: true});
            wire.on('Network.responseReceived', ({response}) => { bytes += response.encodedDataLength; });
            wire.on('Network.dataReceived', ({encodedDataLength}) => { bytes += encodedDataLength; });
            const begun = Date.now();
            await fresh.goto(settings.url, {waitUntil: 'commit'});
            await fresh.locator('.hero.ok').waitFor();
            await fresh.locator('.topology .node').first().waitFor();
            loads.push({ms: Date.now() - begun, bytes});
            await fresh.close();
        }
        await visit.at('loaded', {loads});
    },

    // The moment at which another leader is on the screen. For a figure.
    async change(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees(`[data-node="${settings.leader}"][data-role=leader]`);
        await page.evaluate((leader) => {
            const look = () => {
                if (document.querySelector(`[data-role=leader]:not([data-node="${leader}"])`)) window.changed ??= Date.now();
            };
            new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
        }, settings.leader);
        await visit.at('watching');
        await page.waitForFunction(() => window.changed);
        await visit.at('changed', {unix_ms: await page.evaluate(() => window.changed)});
    },

    // From a telephone, at night: first the dry run, then the switchover, then a pause and its end.
    async switchover(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees('.hero.ok');
        await settled(page);
        await visit.picture('whole-narrow-dark', true);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'wider than the screen');
        const card = page.locator(`[data-node="${settings.target}"]`);
        await card.getByText('Make leader…').click();
        await visit.sees('dialog .steps', `${settings.target} is promoted`);
        await visit.sees('dialog .verdict.good', 'nothing speaks against it');
        await visit.picture('dry-run-narrow-dark');
        await page.keyboard.press('Escape');
        await page.locator('dialog[open]').waitFor({state: 'hidden'});
        await visit.at('after the dry run');
        await card.getByText('Make leader…').click();
        await page.click(`dialog >> text=Switch over to ${settings.target}`);
        await visit.sees('dialog .stages');
        await visit.picture('switching-narrow-dark');
        await visit.sees('dialog .verdict.good', `${settings.target} leads now`, 60);
        await visit.picture('switched-narrow-dark');
        await page.click('dialog >> text=Close');
        await visit.sees(`[data-node="${settings.target}"][data-role=leader]`);
        await visit.sees('.hero.ok', `Fine: ${settings.target} leads`, 60);
        await page.click('text=Pause…');
        await visit.sees('dialog', 'nobody takes over until you resume');
        await visit.picture('pause-narrow-dark');
        await page.click('dialog button.act');
        await visit.sees('.hero .flag.warn', 'Paused');
        await visit.at('paused');
        await page.click('text=Resume…');
        await page.click('dialog button.act');
        await page.locator('.flag.warn').waitFor({state: 'detached'});
    },

    // Who may only look, who comes with a wrong token, and what a foreign page could try.
    async reader(visit) {
        const {page, settings} = visit;
        await visit.logIn('keelaccess1.wrong');
        await visit.sees('.problem');
        await visit.logIn();
        await visit.sees('.topology .node');
        assert.equal(await page.locator('button.act, text=Make leader…, text=Silence…').count().catch(() => 0), 0);
        assert.equal(await page.locator('text=Switch over').count(), 0);
        const {status, forged} = await page.evaluate(async () => {
            const {csrf} = await (await fetch('/dashboard/session')).json();
            const post = (headers) => fetch('/pause', {method: 'POST', body: '{}', headers});
            return {status: (await post({'x-pgkeel-csrf': csrf})).status, forged: (await post({})).status};
        });
        assert.equal(status, 403, 'a reader does not pause');
        assert.equal(forged, 403);
        assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees the cookie');
        const cookies = await page.context().cookies();
        assert.deepEqual(cookies.map((one) => [one.httpOnly, one.secure, one.sameSite]), [[true, true, 'Strict']]);
        await page.click('.me [aria-label^="Colours"]');
        await page.click('.me [aria-label^="Colours"]');
        assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark');
        await page.reload();
        await visit.sees('.topology .node');  // still logged in, and as dark
        await settled(page);
        await visit.picture('reader-wide-dark', true);
        await page.click('text=Log out');
        await visit.sees('.door form');
        assert.equal(await page.evaluate(async () => (await fetch('/status')).status), 401);
        await visit.logIn();
        await visit.sees('.topology .node');
        await visit.at('looking');  // the test takes the token back
        await visit.sees('.door .problem', 'not known here');
    },

    // What the proxy does, how available the cluster was, what its settings are; and a standby is started again.
    async figures(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees('.hero.ok', 'Fine', 60);
        await page.waitForFunction(() => [...document.querySelectorAll('.proxy .fact')].some((fact) =>
            fact.textContent.startsWith('queries') && parseFloat(fact.querySelector('dd').textContent) > 1), undefined, {timeout: 60000});
        await visit.sees('.proxy .fact', '95 % of queries≤');
        await visit.sees('.availability .fact', 'available');
        await visit.sees('.availability .outages li', 'failover: ');
        await visit.sees('.settings th', settings.changed);
        assert.ok(!await page.locator('.settings th', {hasText: 'disk_stall_ms'}).isVisible(), 'what has its default is folded');
        await page.click('.settings summary');
        await visit.sees('.settings th', 'disk_stall_ms');
        await visit.picture('figures-wide', true);
        await page.click(`[data-node="${settings.standby}"] >> text=Restart…`);
        await visit.sees('dialog', 'stops in order and starts again');
        await visit.picture('restart-wide');
        await page.click('dialog button.act');
        await visit.sees('.event .text', `restart of ${settings.standby} is done`, 60);
        await page.setViewportSize({width: 390, height: 844});
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing lies beside a narrow screen');
        await visit.picture('figures-narrow', true);
    },

    // Databases, tags and reasons whose names are markup, quotes and other scripts.
    async names(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees('.topology .node');
        for (const text of settings.texts) {
            await page.waitForFunction((wanted) => document.body.innerText.includes(wanted) ||
                [...document.querySelectorAll('[title]')].some((one) => one.title.includes(wanted)), text, {timeout: 60000});
        }
        assert.equal(await page.locator('img, iframe, script:not([src]), #page b:not(.legend b):not(.plan b)').count(), 0, 'a name became markup');
        assert.equal(await page.evaluate(() => window.pwned), undefined);
        await visit.picture('names-wide', true);
    },

    // The node was upgraded while the page was open; and one that a browser keeps in its old form.
    async stale(visit) {
        const {page} = visit;
        let old = 1;
        await page.route('**/dashboard/', async (route) => {
            const answer = await route.fetch();
            const text = await answer.text();
            await route.fulfill({response: answer, body: old-- > 0 ? text.replace(/content="[0-9a-f]{16}"/, 'content="0000000000000000"') : text});
        });
        await visit.logIn();
        await visit.sees('.banner', 'is of another version than its node');
        await visit.picture('stale-wide');
        await page.waitForFunction(() => document.querySelector('meta[name="pgkeel-page"]').content !== '0000000000000000');
        await visit.sees('.topology .node');
        await page.locator('.banner').waitFor({state: 'detached'});
    },

    // There is no backup yet: one is asked for, and what comes of it is read from the calendar.
    async backups(visit) {
        const {page} = visit;
        const run = async (name) => {
            await page.click('.backups >> text=Run now…');
            await page.locator('dialog label', {hasText: name}).first().click();
            await visit.picture('backup-run-narrow');
            await page.click('dialog button.act');
            await page.locator('dialog[open]').waitFor({state: 'hidden'});
        };
        const today = '.backups .day.today';
        await visit.logIn();
        await visit.sees('.hero.ok', 'Fine', 60);
        await visit.sees('.backups', 'Nothing can be restored yet', 60);
        await run('full backup');
        await visit.at('a full one runs');
        await visit.sees('.backups .reach', 'Every moment since', 120);
        await visit.sees(`${today} .mark-full`, undefined, 60);
        for (const [name, mark] of [['incremental backup', 'incremental'], ['dump', 'dump'], ['restore test', 'prove']]) {
            await run(name);
            await visit.sees(`${today} .mark-${mark}`, undefined, 120);
        }
        assert.equal(await page.locator(`${today} .mark.bad, ${today} .mark-failed`).count(), 0);
        await page.click(today);
        await visit.sees('.ofday li', 'full backup');
        await visit.sees('.ofday code');
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'wider than the screen');
        await visit.picture('backups-narrow', true);
        await visit.at('all of them ran');
        await visit.sees('.jobs tr.bad', 'failed 1 time', 60);
        await visit.sees(`${today} .mark-failed`);
        await visit.sees('.ofday li.bad');
        await page.setViewportSize({width: 1360, height: 900});
        await visit.picture('backups-wide', true);
    },

    // The node that serves the page dies, and comes back.
    async silence(visit) {
        const {page, settings} = visit;
        await visit.logIn();
        await visit.sees('.hero.ok');
        await visit.at('looking');
        await visit.sees('.banner.bad', `${settings.watched} tells nothing any more`);
        await visit.sees('.banner.bad a');
        assert.equal(await page.locator('button.act').count(), 0, 'nothing can be done from an old picture');
        await visit.picture('silent-wide');
        await visit.at('silent');
        // Log-ins are in the agent's memory: it asks again.
        await visit.sees('.door form', undefined, 60);
        await visit.logIn();
        await visit.sees('.hero.ok', undefined, 60);
    },
};
