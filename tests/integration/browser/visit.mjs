// Plays one visit of a person to the dashboard in a real browser, for browser.py: `node visit.mjs SCENARIO`, settings as
// JSON on the first line of stdin. It says where it is with lines of JSON; where a test has something to do meanwhile
// (kill a node), it waits for the line "go".
import readline from 'node:readline';
import {pathToFileURL} from 'node:url';
import {scenarios} from './scenarios.mjs';

const lines = readline.createInterface({input: process.stdin})[Symbol.asyncIterator]();
const settings = JSON.parse((await lines.next()).value);
const {chromium} = await import(pathToFileURL(settings.library + '/index.mjs'));

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

// One person with a browser window of this size, and everything that goes wrong in it.
export class Visit {
    constructor(page, complaints) {
        this.page = page;
        this.complaints = complaints;
        this.settings = settings;
    }
    // Until the test has done its part.
    async at(place, found = {}) {
        say({at: place, ...found});
        await lines.next();
    }
    async picture(name, whole = false) {
        await this.page.screenshot({path: `${settings.pictures}/${name}.png`, fullPage: whole, animations: 'disabled'});
    }
    async logIn(token = settings.token, url = settings.url) {
        await this.page.goto(url);
        await this.page.fill('input[name=token]', token);
        await this.page.click('text=Log in');
    }
    async sees(selector, text, seconds = 30) {
        await this.page.locator(selector, text === undefined ? {} : {hasText: text}).first().waitFor({timeout: seconds * 1000});
    }
    async text(selector) {
        return (await this.page.locator(selector).first().textContent()).trim();
    }
}

const sandbox = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({executablePath: settings.chromium, args: [...sandbox, '--lang=en-GB']});
let failed = null;
try {
    const context = await browser.newContext({ignoreHTTPSErrors: true, viewport: {width: settings.width, height: settings.height},
                                              colorScheme: settings.colours, locale: 'en-GB', timezoneId: 'UTC'});
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
    page.on('dialog', (dialog) => { complaints.push(`a script opened a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('console', (message) => {
        // That a request was refused, or not answered, is what some of them are about.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
    });
    const visit = new Visit(page, complaints);
    try {
        await scenarios[process.argv[2]](visit);
    } catch (error) {
        await visit.picture('failed-' + process.argv[2]).catch(() => {});
        throw error;
    }
    if (complaints.length) throw new Error(`the browser complains: ${complaints.join(' | ')}`);
} catch (error) {
    failed = error.stack;
}
await browser.close();
say(failed === null ? {done: true} : {failed});
process.exit(failed === null ? 0 : 1);
