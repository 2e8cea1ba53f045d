import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;

public class JdbcDriver {
    static String table;

    static void check(boolean good, String what) {
        if (!good) throw new IllegalStateException(what);
    }

    static String refused(Statement statement, String text) throws SQLException {
        try {
            statement.executeUpdate(text);
        } catch (SQLException error) {
            return error.getSQLState();
        }
        return "none";
    }

    // From the fifth time on the server keeps the statement under a name.
    static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement put = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
            for (int row = 1; row <= 20; ++row) {
                put.setInt(1, row);
                put.setString(2, "word " + row);
                check(put.executeUpdate() == 1, "one row");
            }
            check(put.unwrap(PGStatement.class).isUseServerPrepare(), "prepared on the server");
        }
    }

    static void transactions(Connection connection, Statement statement) throws SQLException {
        connection.setAutoCommit(false);
        statement.executeUpdate("INSERT INTO " + table + " VALUES (100, 'no')");
        connection.rollback();
        try (PreparedStatement put = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, 'yes')")) {
            for (int row = 101; row <= 102; ++row) {
                put.setInt(1, row);
                put.addBatch();
            }
            put.executeBatch();
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void copy(Connection connection) throws Exception {
        StringBuilder rows = new StringBuilder();
        for (int row = 1001; row <= 2000; ++row) rows.append(row).append("\tcopied\n");
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        check(copies.copyIn("COPY " + table + " FROM STDIN", new StringReader(rows.toString())) == 1000, "copied in");
        check(copies.copyOut("COPY " + table + " TO STDOUT", new StringWriter()) == 1022, "copied out");
    }

    static void errors(Connection connection, Statement statement) throws SQLException {
        String again = "INSERT INTO " + table + " VALUES (1, 'again')";
        check(refused(statement, again).equals("23505"), "a second 1");
        connection.setAutoCommit(false);
        statement.executeUpdate("INSERT INTO " + table + " VALUES (103, 'no')");
        check(refused(statement, again).equals("23505"), "a second 1");
        check(refused(statement, "INSERT INTO " + table + " VALUES (104, 'no')").equals("25P02"), "a failed transaction");
        connection.rollback();
        connection.setAutoCommit(true);
    }

    public static void main(String[] words) throws Exception {
        table = words[2];
        Properties how = new Properties();
        how.setProperty("user", "auditor");
        how.setProperty("password", System.getenv("PGPASSWORD"));
        String where = "jdbc:postgresql://" + words[0] + ":" + words[1] + "/audit";
        try (Connection connection = DriverManager.getConnection(where, how);
                Statement statement = connection.createStatement()) {
            prepared(connection);
            transactions(connection, statement);
            copy(connection);
            errors(connection, statement);
            // Row by row through a portal, which lives in a transaction.
            connection.setAutoCommit(false);
            statement.setFetchSize(100);
            int seen = 0;
            try (ResultSet rows = statement.executeQuery("SELECT id FROM " + table)) {
                while (rows.next()) ++seen;
            }
            connection.commit();
            System.out.println(seen);
        }
    }
}
